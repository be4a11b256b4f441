"""Where a Python is installed: what its programs must be able to read."""

import sys
from pathlib import Path


def own_python() -> list[Path]:
    """Return the folders of the farm's own Python."""
    python = Path(sys.executable)
    found = interpreter_folders(python, Path(sys.prefix), Path(sys.base_prefix))
    return [each for each in found if each.exists()]


def interpreter_folders(python: Path, prefix: Path, base_prefix: Path) -> list[Path]:
    """Return the folders of an interpreter and its libraries.

    Parameters:
        python: path of the executable, or of a link to it.
        prefix: its ``sys.prefix``.
        base_prefix: its ``sys.base_prefix``: the prefix of the Python that it is based on.
    """
    # The python of a virtual environment is a link, often to a link: each must be readable.
    hops = [python]
    while hops[-1].is_symlink():
        hops.append(hops[-1].parent / hops[-1].readlink())
    prefixes = [prefix, base_prefix, *(hop.parent.parent for hop in hops)]
    # Not the whole prefix: people keep other things there, such as a farm's data.
    parts = ("bin", "lib", "lib64", "pyvenv.cfg")
    return [each / part for each in prefixes for part in parts]
