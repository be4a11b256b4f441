"""Versions as products write them: 3.4.1, 15.1v3, R19.024, 2025.2."""

import re

_TOKENS = re.compile(r"[0-9]+|[a-z]+")

UNKNOWN = "unknown"
"""Version of an installed plug-in that does not report one."""

ALL = "all"
"""The range of all versions."""


def tokens(version: str) -> list[str]:
    """Return the numbers and words of a version: ``15.1v3`` is 15, 1, v, 3."""
    return _TOKENS.findall(version.lower())


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key for versions: R19 < 2024, 9 < 10, 10.5 < 10.5v2 < 10.5v10."""
    return tuple(
        (1, int(token), "") if token.isdigit() else (0, 0, token) for token in tokens(version)
    )


def begins_with(version: str, beginning: str) -> bool:
    """Return whether a version is ``beginning`` or continues it: 3.4.1 and 3.4, but not 3.40.

    Every version begins with "", and none with a text that has neither letters nor digits.
    """
    start = tokens(beginning)
    if beginning and not start:
        return False
    return tokens(version)[: len(start)] == start


def in_range(version: str, text: str) -> bool:
    """Return whether a version lies in a range.

    Parameters:
        text: ``all``; the beginning of a version (``2025`` includes 2025.2); or an inclusive range
            (``4.2..4.5`` includes 4.5.15).
    """
    first, dots, last = text.partition("..")
    if text == ALL or begins_with(version, first):
        return True
    if not dots:
        return False
    key = version_key(version)
    return version_key(first) < key and (key < version_key(last) or begins_with(version, last))


def version_in(pattern: re.Pattern[str], text: str) -> str | None:
    """Return the version that a pattern finds: its groups, joined with dots."""
    match = pattern.search(text)
    return ".".join(group for group in match.groups() if group) if match else None
