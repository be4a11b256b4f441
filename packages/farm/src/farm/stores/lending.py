"""Provides files to programs that cannot read anything else, also from stores that have none."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from farm.stores.port import Store

_AT_A_TIME = 1 << 20


@contextmanager
def lent(
    store: Store,
    account_id: str,
    scratch: Path | None,
    check: Callable[[int], None] = lambda _: None,
) -> Iterator[Callable[[str], Path]]:
    """Yield a function that returns a blob's file: a copy, made when needed, where there is none.

    Parameters:
        scratch: folder for copies; None: the system's.
        check: called before a copy grows by so many bytes; may raise.
    """
    with ExitStack() as stack:
        copies: list[Path] = []

        def place(blob_hash: str) -> Path:
            path = store.local_path(account_id, blob_hash)
            if path is not None:
                return path
            if not copies:
                copies.append(Path(stack.enter_context(TemporaryDirectory(dir=scratch))))
            copy = copies[0] / blob_hash
            if not copy.exists():
                with store.open(account_id, blob_hash) as source, copy.open("wb") as file:
                    while data := source.read(_AT_A_TIME):
                        check(len(data))
                        file.write(data)
            return copy

        yield place
