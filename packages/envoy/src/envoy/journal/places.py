"""Which names are one file on this machine: of two results that have one place, one stays."""

import os
import sys
import unicodedata

FOLDS = sys.platform in ("win32", "darwin")
"""Whether this machine's disks hold names for the same that differ in case, in how Unicode composes
their letters, or in a dot or space at the end. (Those of macOS may be told to tell cases apart.)"""


def place_of(folder: str, relative: str) -> str:
    """Return the place of a file: the same for all names of one file.

    Parameters:
        folder: absolute, links followed where that is known.
        relative: path below it, with forward slashes.
    """
    path = os.path.normpath(os.path.join(folder, relative)).replace(os.sep, "/")  # noqa: PTH118
    if not FOLDS:
        return path
    names = unicodedata.normalize("NFC", path).casefold().split("/")
    return "/".join(name.rstrip(". ") for name in names)
