"""Files for programs that can read nothing else, also of stores that have none."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from farm.stores.port import Store


@contextmanager
def lent(store: Store, account_id: str, scratch: Path | None) -> Iterator[Callable[[str], Path]]:
    """Yield what returns the file of a blob: a copy, made when asked for, where there is none.

    Parameters:
        scratch: folder for copies; None: the system's.
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
                    shutil.copyfileobj(source, file)
            return copy

        yield place
