"""The rules by which a renderer maps paths, also for programs that read scenes without it.

Loaded by file name: the surrounding package needs libraries that a reader of scenes does not. And
loaded at once: the account that a reader switches to may not be able to read any module.
"""

import runpy
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

_FILE = Path(__file__).parent.parent / "products" / "shared" / "farm_paths.py"
_PATHS = runpy.run_path(str(_FILE))


class Mapped(Protocol):
    """The interface of `farm.products.shared.farm_paths.PathMap`."""

    def meant(self, path: str, blend: str) -> list[str]:
        """Return the remote paths that a path in a .blend may mean."""


def mapped(rules: Iterable[tuple[str, str]]) -> Mapped:
    """Return an object that maps paths by these rules."""
    found: Mapped = _PATHS["PathMap"](rules)
    return found
