"""The local disk, for one submission: each folder is read once, and lookups are limited.

An untrusted scene can name a hundred thousand files, each in a huge folder, and all of them as
different spellings of the same path.
"""

import os
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from farm_protocol.spellings import composed, folded

MOST_STEPS = 5_000_000
"""A step is the lookup of one name. No real scene needs more."""
_MOST_KEPT = 500_000
"""Limit on remembered names in folders."""
_LAST = chr(0x10FFFF)


class TooMuchError(Exception):
    """There is more to look up than any scene needs."""


@dataclass(slots=True)
class _Listing:
    names: list[str]
    alike: dict[str, str] = field(default_factory=dict)
    composed: dict[str, list[str]] = field(default_factory=dict)


class Disk:
    """Looks up files until the limit is reached. From then on all methods raise TooMuchError."""

    def __init__(self) -> None:
        self._left = MOST_STEPS
        self._listings: dict[str, _Listing] = {}
        self._kept = 0

    def spend(self, steps: int = 1) -> None:
        """Use up this many of the remaining steps."""
        self._left -= steps
        if self._left < 0:
            raise TooMuchError

    def is_folder(self, path: str) -> bool:
        """Return whether a path leads to a folder."""
        self.spend()
        return os.path.isdir(path)

    def is_there(self, path: str) -> bool:
        """Return whether there is anything at a path, if only a link."""
        self.spend()
        return os.path.lexists(path)

    def names(self, folder: str, beginning: str = "") -> Sequence[str]:
        """Return the sorted names in a folder that begin with a text; none without a folder."""
        names = self._listing(folder).names
        start = bisect_left(names, beginning)
        end = bisect_left(names, beginning + _LAST, start) if beginning else len(names)
        self.spend(1 + end - start)
        return names[start:end]

    def alike(self, folder: str, name: str) -> str:
        """Return the path of the entry with this name in a folder, ignoring case and how its
        accents are encoded; "" if there is none.
        """
        listing = self._listing(folder)
        self.spend()
        if not listing.alike:
            self.spend(len(listing.names))
            listing.alike = {folded(each): each for each in reversed(listing.names)}
        found = listing.alike.get(folded(name), "")
        return os.path.join(folder, found) if found else ""

    def encoded(self, path: str) -> str:
        """Return the path that reads the same, but whose accents are encoded in another way: as
        they are on this disk. "" if there is none, or more than one.
        """
        folder, wanted = path, list[str]()
        while not self.is_folder(folder):
            above, name = os.path.split(folder)
            if above == folder:
                return ""
            folder = above
            wanted.append(composed(name))
        for each in reversed(wanted):
            listing = self._listing(folder)
            self.spend()
            if not listing.composed:
                self.spend(len(listing.names))
                for name in listing.names:
                    listing.composed.setdefault(composed(name), []).append(name)
            found = listing.composed.get(each, ())
            if len(found) != 1:
                return ""
            folder = os.path.join(folder, found[0])
        return folder

    def _listing(self, folder: str) -> _Listing:
        listing = self._listings.get(folder)
        if listing is None:
            listing = _Listing([])
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        self.spend()
                        listing.names.append(entry.name)
            except OSError:
                listing.names.clear()
            listing.names.sort()
            if self._kept + len(listing.names) > _MOST_KEPT:
                self._listings.clear()
                self._kept = 0
            self._kept += 1 + len(listing.names)
            self._listings[folder] = listing
        return listing
