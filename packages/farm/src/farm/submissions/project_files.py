"""The files of a project in the database: only some of a million are in memory."""

import heapq
from bisect import bisect_left
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from farm.db import manifests
from farm.db.engine.database import Database
from farm.db.pauses import with_pauses

_AT_A_TIME = 1000


@dataclass(frozen=True, eq=False)
class ProjectFiles(Mapping[str, str]):
    """The hash of each file by remote path, sorted by bytes; queried from the database each time.

    Concurrent changes may or may not be seen.

    Attributes:
        project: its id.
        pending: remote paths of files that are still to be sent; their hash is "".
    """

    database: Database
    project: str
    pending: frozenset[str]

    def __getitem__(self, path: str) -> str:
        with self.database.read() as connection:
            found = manifests.hash_of(connection, self.project, path)
        if found is None and path not in self.pending:
            raise KeyError(path)
        return found or ""

    def __iter__(self) -> Iterator[str]:
        return (path for path, _ in self.items())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def items(self) -> ItemsView[str, str]:
        """Return all, in one query."""
        return _Items(self)

    def pages(self) -> Iterator[list[tuple[str, str]]]:
        """Yield the files that were sent, some at a time."""
        after = ""
        while True:
            with self.database.read() as connection:
                page = manifests.hashes(connection, self.project, after, _AT_A_TIME)
            yield page
            if len(page) < _AT_A_TIME:
                return
            after = page[-1][0]


class _Items(ItemsView[str, str]):
    _mapping: ProjectFiles

    def __iter__(self) -> Iterator[tuple[str, str]]:
        there = (each for page in with_pauses(self._mapping.pages()) for each in page)
        if not self._mapping.pending:
            yield from there
            return
        pending = ((path, "") for path in sorted(self._mapping.pending))
        last = None
        # For a file that is sent again, the existing one comes first: it has a hash.
        for path, content in heapq.merge(there, pending, key=lambda each: each[0]):
            if path != last:
                yield path, content
            last = path


@dataclass(frozen=True)
class ProjectPaths(Iterable[str]):
    """The paths of a project's files and of those to upload, sorted, as a connection sees them.

    Attributes:
        project: its id; None: there is none yet.
        pending: remote paths of files that are still to be sent, sorted.
    """

    connection: Connection
    project: str | None
    pending: Sequence[str]

    def __iter__(self) -> Iterator[str]:
        return self.beginning("")

    def beginning(self, begin: str) -> Iterator[str]:
        """Yield those that begin with a prefix; paths that are both sent and pending, twice."""
        end = begin + manifests.LAST
        first, last = bisect_left(self.pending, begin), bisect_left(self.pending, end)
        pending = (self.pending[place] for place in range(first, last))
        there = (each for page in with_pauses(self._pages(begin, end)) for each in page)
        return heapq.merge(pending, there)

    def _pages(self, after: str, before: str) -> Iterator[list[str]]:
        while self.project is not None:
            found = manifests.hashes(self.connection, self.project, after, _AT_A_TIME, before)
            page = [path for path, _ in found]
            yield page
            if len(page) < _AT_A_TIME:
                return
            after = page[-1]
