"""Lines of source files in which a check finds something, as a reader looks them up."""

from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def lines_with(look: Callable[[str], Iterable[int]], paths: Iterable[Path]) -> list[str]:
    """Return ``file:line`` for each line that ``look`` finds in the text of a file.

    A check of no files at all is a mistake, and fails.
    """
    files = list(paths)
    assert files
    return [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        for line in look(path.read_text(encoding="utf-8"))
    ]
