"""Manifests: which blob each file of a project is, now and in each snapshot.

A submission has the files that its project had when it was submitted. That costs nothing then:
snapshots are numbered, a line of a manifest knows the first one that has it, and a line that is
replaced is kept only if there is such a snapshot. So a project that is submitted a hundred times
has its million lines once, and beside them what was changed in between.
"""

import itertools
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farm_protocol.files import FileEntry, KnownFile
from sqlalchemy import (
    Connection,
    Row,
    Text,
    cast,
    delete,
    insert,
    literal,
    select,
    union_all,
)

from farm.db.engine.dialects import dialect_of
from farm.db.projects import ProjectRow
from farm.db.tables import jobs, manifest_entries, replaced_entries, submissions


@dataclass(frozen=True, slots=True)
class Line:
    """What a manifest says about a path.

    Attributes:
        since: the first snapshot that has it; it may not be taken yet.
        content: the same as that of another line if they are about the same file.
    """

    since: int
    content: str


def content_of(file: FileEntry) -> str:
    """Return the `Line.content` of a file."""
    return f"{file.hash} {file.size} {file.mtime_ns}"


# In one text: a subquery for each path (see `_of_each`) has one value.
_LINE = (
    cast(manifest_entries.c.since, Text)
    + literal(" ")
    + manifest_entries.c.hash
    + literal(" ")
    + cast(manifest_entries.c.size, Text)
    + literal(" ")
    + cast(manifest_entries.c.mtime_ns, Text)
)


def kept(project: ProjectRow, old: Mapping[str, Line]) -> list[str]:
    """Return the paths of those of a project's lines that are in a snapshot, and must be kept."""
    return [path for path, line in old.items() if line.since <= project.snapshots]


_ENTRY_BYTES = 400
"""Size of a line in the database, without its path."""


def size_of(paths: Iterable[str]) -> int:
    """Return the size of these paths' lines in the database.

    A path is stored in the table and its indexes: three times.
    """
    return sum(_ENTRY_BYTES + 3 * len(path.encode()) for path in paths)


WRITTEN_BYTES = 512 << 10
"""By `size_of`, of the lines that are written in one turn: others wait for it."""


def in_turns(paths: Iterable[str]) -> Iterator[list[str]]:
    """Yield paths in portions, each of which is written in a turn of its own."""
    portion, size = list[str](), 0
    for path in paths:
        portion.append(path)
        size += size_of([path])
        if size >= WRITTEN_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def lines(connection: Connection, project: str, paths: Collection[str]) -> dict[str, Line]:
    """Return a project's lines for these paths, by path; unknown paths are left out."""
    found: dict[str, Line] = {}
    for path, text in _of_each(connection, project, paths):
        since, content = text.split(" ", 1)
        found[path] = Line(int(since), content)
    return found


def _of_each(
    connection: Connection, project: str, paths: Collection[str]
) -> Iterable[tuple[str, str]]:
    dialect = dialect_of(connection)
    path = dialect.given("of_paths")
    # A subquery for each: for many paths, PostgreSQL would rather scan the whole table.
    its = (
        select(_LINE)
        .where(manifest_entries.c.project_id == project, manifest_entries.c.path == path)
        .limit(1)
        .scalar_subquery()
    )
    each = select(path.label("path"), its.label("line")).subquery()
    found = select(each).where(each.c.line.is_not(None))
    return (
        (row.path, row.line)
        for row in connection.execute(found, {"of_paths": dialect.texts(list(paths))})
    )


def two_in_one(
    connection: Connection, project: str, new: Collection[str], folders: Collection[str]
) -> tuple[str, str] | None:
    """Return a file and another one for which it would have to be a folder; None: there is none.

    Parameters:
        new: paths that the project's manifest does not have yet.
        folders: in which these lie.
    """
    if not new:
        return None
    file = next((each for each in new if each in folders), None)
    file = file or next((path for path, _ in _of_each(connection, project, folders)), None)
    if file is not None:
        return file, next(each for each in new if each.startswith(f"{file}/"))
    dialect = dialect_of(connection)
    its = manifest_entries.c.project_id == project
    query = dialect.beneath(manifest_entries.c.path, "of_paths", its).limit(1)
    found = connection.execute(query, {"of_paths": dialect.texts(list(new))}).first()
    return None if found is None else (found[0], found[1])


def drop(connection: Connection, project: ProjectRow, old: Mapping[str, Line]) -> None:
    """Remove lines from a project's manifest; ``old`` is the result of `lines`."""
    if not old:
        return
    dialect = dialect_of(connection)
    its = (
        manifest_entries.c.project_id == project.id,
        dialect.among(manifest_entries.c.path, "of_paths"),
    )
    columns = [each for each in replaced_entries.c if each.name != "until"]
    its_line = select(
        *(manifest_entries.c[each.name] for each in columns), literal(project.next_snapshot)
    ).where(*its)
    # One statement for all: others wait for the turn to write.
    if those := kept(project, old):
        connection.execute(
            insert(replaced_entries).from_select([*columns, replaced_entries.c.until], its_line),
            {"of_paths": dialect.texts(those)},
        )
    connection.execute(delete(manifest_entries).where(*its), {"of_paths": dialect.texts(list(old))})


def add(
    connection: Connection, account_id: str, project: ProjectRow, files: Sequence[FileEntry]
) -> None:
    """Add new lines to a project's manifest."""
    if not files:
        return
    connection.execute(
        insert(manifest_entries),
        [
            {
                "project_id": project.id,
                "account_id": account_id,
                "path": file.path,
                "hash": file.hash,
                "size": file.size,
                "mtime_ns": file.mtime_ns,
                "since": project.next_snapshot,
            }
            for file in files
        ],
    )


_FILE = ("path", "hash", "size", "mtime_ns")


def portions(
    connection: Connection, project: str, snapshot: int, size: int = 1000
) -> Generator[list[KnownFile]]:
    """Yield the files of a project's snapshot, in portions, in no order, while they are read.

    There may be a million: not all rows are in memory, and others have turns in between.
    """
    now, then = manifest_entries.c, replaced_entries.c
    query = union_all(
        select(*(now[name] for name in _FILE)).where(
            now.project_id == project, now.since <= snapshot
        ),
        select(*(then[name] for name in _FILE)).where(
            then.project_id == project, then.since <= snapshot, then.until > snapshot
        ),
    )
    with connection.execute(query, execution_options={"yield_per": size}) as rows:
        for some in rows.partitions():
            yield [_file(row) for row in some]


def entries(connection: Connection, project: str, snapshot: int) -> list[KnownFile]:
    """Return the files of a project's snapshot, sorted by path; only for few files."""
    found = itertools.chain.from_iterable(portions(connection, project, snapshot))
    # Sorted here, since databases differ in their collation.
    return sorted(found, key=lambda file: file.path)


def _file(row: Row[Any]) -> KnownFile:
    return KnownFile(path=row.path, hash=row.hash, size=row.size, mtime_ns=row.mtime_ns)


def blobs_of_job(connection: Connection, job_id: str, hashes: set[str]) -> set[str]:
    """Return which of these blobs are files of a job's submission."""
    found: set[str] = set()
    for table in (manifest_entries, replaced_entries):
        query = (
            select(table.c.hash)
            .join(submissions, submissions.c.project_id == table.c.project_id)
            .join(jobs, jobs.c.submission_id == submissions.c.id)
            .where(
                jobs.c.id == job_id,
                table.c.hash.in_(hashes - found),
                table.c.since <= submissions.c.snapshot,
            )
        )
        if table is replaced_entries:
            query = query.where(table.c.until > submissions.c.snapshot)
        found.update(connection.execute(query.distinct()).scalars())
    return found


LAST = "\U0010ffff"
"""No path begins with it, and any other character sorts before it."""


def hashes(
    connection: Connection, project: str, after: str, limit: int, before: str = LAST
) -> list[tuple[str, str]]:
    """Return up to ``limit`` files of a project's manifest: their paths, by bytes, and hashes.

    Parameters:
        after, before: their paths come after this one, and before that one.
    """
    path, dialect = manifest_entries.c.path, dialect_of(connection)
    rows = connection.execute(
        select(path, manifest_entries.c.hash)
        .where(manifest_entries.c.project_id == project, dialect.between(path, after, before))
        .order_by(dialect.by_bytes(path))
        .limit(limit)
    )
    return [(row.path, row.hash) for row in rows]


def page(
    connection: Connection, project: str, folder: str, after: str, limit: int
) -> list[KnownFile]:
    """Return up to ``limit`` lines of a project's manifest in a remote folder.

    Parameters:
        after: their paths come after this one.
    """
    path, dialect = manifest_entries.c.path, dialect_of(connection)
    # "0" comes after "/".
    lies_there = dialect.between(path, max(after, f"{folder}/"), f"{folder}0")
    rows = connection.execute(
        select(*(manifest_entries.c[name] for name in _FILE))
        .where(manifest_entries.c.project_id == project, lies_there)
        .order_by(dialect.by_bytes(path))
        .limit(limit)
    )
    return [_file(row) for row in rows]


def hash_of(connection: Connection, project: str, path: str) -> str | None:
    """Return the hash of this path in the project's manifest; None when it is not in it."""
    return connection.execute(
        select(manifest_entries.c.hash).where(
            manifest_entries.c.project_id == project, manifest_entries.c.path == path
        )
    ).scalar_one_or_none()
