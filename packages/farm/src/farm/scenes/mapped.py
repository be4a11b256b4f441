"""The rules by which a renderer maps paths: the same ones, for who reads scenes without it.

Loaded by their file: the package around them needs what a reader of scenes does not. And at once:
who a reader becomes later may not be able to read any module.
"""

import runpy
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

_FILE = Path(__file__).parent.parent / "products" / "shared" / "farm_paths.py"
_PATHS = runpy.run_path(str(_FILE))


class Mapped(Protocol):
    """What `farm.products.shared.farm_paths.PathMap` can do."""

    def meant(self, path: str, blend: str) -> list[str]:
        """Return the remote paths that a path in a .blend may mean."""


def mapped(rules: Iterable[tuple[str, str]]) -> Mapped:
    """Return what maps paths by these rules."""
    found: Mapped = _PATHS["PathMap"](rules)
    return found
