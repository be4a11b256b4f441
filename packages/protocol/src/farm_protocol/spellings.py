"""Normal forms of names that look the same, or are the same on some systems. Pure."""

import unicodedata


def composed(name: str) -> str:
    """Return the Unicode normal form NFC, which is the same for all names that look the same.

    macOS treats these as one name, and a scene made there may use another form than the file
    system.
    """
    return unicodedata.normalize("NFC", name)


def folded(path: str) -> str:
    """Return a form that is the same for paths that differ only in case or Unicode normalization.

    Windows and macOS treat these as one path.
    """
    return path.lower() if path.isascii() else composed(path).casefold()
