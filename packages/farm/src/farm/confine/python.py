"""Where a Python lies: what a program that it runs must be able to read."""

import sys
from pathlib import Path


def own_python() -> list[Path]:
    """Return where the farm's own Python lies."""
    python = Path(sys.executable)
    found = interpreter_folders(python, Path(sys.prefix), Path(sys.base_prefix))
    return [each for each in found if each.exists()]


def interpreter_folders(python: Path, prefix: Path, base_prefix: Path) -> list[Path]:
    """Return where an interpreter and its libraries may lie.

    Parameters:
        python: its executable, or a link to it.
        prefix: its ``sys.prefix``.
        base_prefix: its ``sys.base_prefix``: that of the Python from which it was made.
    """
    # A virtual environment's python is a link, often to a link: each must lead somewhere.
    hops = [python]
    while hops[-1].is_symlink():
        hops.append(hops[-1].parent / hops[-1].readlink())
    prefixes = [prefix, base_prefix, *(hop.parent.parent for hop in hops)]
    # Not all of a prefix: people keep other things there, such as a farm's data.
    parts = ("bin", "lib", "lib64", "pyvenv.cfg")
    return [each / part for each in prefixes for part in parts]
