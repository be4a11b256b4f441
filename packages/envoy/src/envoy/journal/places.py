"""Which names are the same file on this machine: of two results in one place, one stays."""

import os
import sys

from farm_protocol.spellings import folded

FOLDS = sys.platform in ("win32", "darwin")
"""Whether this machine's disks treat names as equal that differ in case, in Unicode composition, or
in a dot or space at the end. (macOS disks can be formatted as case-sensitive.)
"""


def place_of(folder: str, relative: str) -> str:
    """Return the place of a file: equal for all names of the same file.

    Parameters:
        folder: absolute, links followed where their target is known.
        relative: path below it, with forward slashes.
    """
    path = os.path.normpath(os.path.join(folder, relative)).replace(os.sep, "/")  # noqa: PTH118
    if not FOLDS:
        return path
    names = folded(path).split("/")
    return "/".join(name.rstrip(". ") for name in names)
