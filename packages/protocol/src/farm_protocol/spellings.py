"""Names that read the same, or that some systems take for one. Pure."""

import unicodedata


def composed(name: str) -> str:
    """Return the form that all names have in common that read the same (Unicode NFC).

    macOS treats these as one name, and scenes made there may use another form than the disk.
    """
    return unicodedata.normalize("NFC", name)


def folded(path: str) -> str:
    """Return what paths have in common that differ only in case and in how accents are encoded.

    Windows and macOS treat these as one path.
    """
    return path.lower() if path.isascii() else composed(path).casefold()
