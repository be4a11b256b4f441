"""Blobs, projects and manifests."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import uuid4

from farm_protocol.files import FileEntry, ProjectSummary
from sqlalchemy import BigInteger, Connection, bindparam, delete, func, insert, select, update

from farm.db.engine.dialects import dialect_of
from farm.db.engine.prepared import Prepared
from farm.db.tables import accounts, blobs, jobs, manifest_entries, projects, submissions

# SQLite takes at most 32766 values in one statement.
_IN_LIMIT = 5000


def known_blobs(connection: Connection, account_id: str, hashes: Iterable[str]) -> dict[str, int]:
    """Return {hash: size} of those blobs that the account has."""
    wanted = sorted(set(hashes))
    found: dict[str, int] = {}
    for start in range(0, len(wanted), _IN_LIMIT):
        of = {"of_account": account_id, "of_hashes": wanted[start : start + _IN_LIMIT]}
        rows = connection.execute(_KNOWN_BLOBS, of)
        found.update((row.hash, row.size) for row in rows)
    return found


# Built once: asked for every frame.
_KNOWN_BLOBS = select(blobs.c.hash, blobs.c.size).where(
    blobs.c.account_id == bindparam("of_account"),
    blobs.c.hash.in_(bindparam("of_hashes", expanding=True)),
)


def add_blob(
    connection: Connection, account_id: str, blob_hash: str, size: int, now: datetime
) -> None:
    """Remember a blob; one that is known already stays as it is."""
    if not known_blobs(connection, account_id, [blob_hash]):
        connection.execute(
            insert(blobs).values(account_id=account_id, hash=blob_hash, size=size, created_at=now)
        )
        add_stored(connection, account_id, size)


def project_id(connection: Connection, account_id: str, name: str) -> str | None:
    """Return the id of an account's project, None when there is none."""
    return connection.execute(
        select(projects.c.id).where(projects.c.account_id == account_id, projects.c.name == name)
    ).scalar_one_or_none()


def project_version(
    connection: Connection, account_id: str, name: str
) -> tuple[str, datetime] | None:
    """Return a project's id and when it was changed; None when there is none."""
    row = connection.execute(
        select(projects.c.id, projects.c.updated_at).where(
            projects.c.account_id == account_id, projects.c.name == name
        )
    ).one_or_none()
    return None if row is None else (row.id, row.updated_at)


def ensure_project(connection: Connection, account_id: str, name: str, now: datetime) -> str:
    """Return the id of the project, made now if need be, marked as changed now."""
    existing = project_id(connection, account_id, name)
    if existing is not None:
        connection.execute(update(projects).where(projects.c.id == existing).values(updated_at=now))
        return existing
    new = uuid4().hex
    connection.execute(
        insert(projects).values(id=new, account_id=account_id, name=name, updated_at=now)
    )
    return new


_ENTRY_BYTES = 400
"""What a line of a manifest takes in the database, beside its path."""


def new_project_bytes(connection: Connection, account_id: str, name: str) -> int:
    """Return what the database grows by when the account has this project: 0 when it has."""
    known = project_id(connection, account_id, name) is not None
    return 0 if known else _ENTRY_BYTES + 3 * len(name.encode())


def new_paths(connection: Connection, project: str, paths: Collection[str]) -> set[str]:
    """Return those of the paths that a project's manifest does not have."""
    return set(paths) - _known_paths(connection, project, list(paths))


def _known_paths(connection: Connection, project: str, paths: Collection[str]) -> set[str]:
    dialect = dialect_of(connection)
    path = dialect.given("of_paths")
    # A query of its own for each: of many paths, PostgreSQL would rather read the whole table.
    its = select(manifest_entries.c.path).where(
        manifest_entries.c.project_id == project, manifest_entries.c.path == path
    )
    found = select(path).where(its.limit(1).scalar_subquery().is_not(None))
    return set(connection.execute(found, {"of_paths": dialect.texts(list(paths))}).scalars())


def new_bytes(paths: Iterable[str]) -> int:
    """Return what the database grows by when a manifest is given these new paths.

    A path stands in the table and its indexes: three times.
    """
    return sum(_ENTRY_BYTES + 3 * len(path.encode()) for path in paths)


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
    file = file or next(iter(_known_paths(connection, project, list(folders))), None)
    if file is not None:
        return file, next(each for each in new if each.startswith(f"{file}/"))
    dialect = dialect_of(connection)
    its = manifest_entries.c.project_id == project
    query = dialect.beneath(manifest_entries.c.path, "of_paths", its).limit(1)
    found = connection.execute(query, {"of_paths": dialect.texts(list(new))}).first()
    return None if found is None else (found[0], found[1])


def add_stored(connection: Connection, account_id: str, size: int) -> None:
    """Let an account store more."""
    _ADD_STORED.run(connection, of_account=account_id, size=size)


_ADD_STORED = Prepared(
    update(accounts)
    .where(accounts.c.id == bindparam("of_account"))
    .values(stored_bytes=accounts.c.stored_bytes + bindparam("size", type_=BigInteger))
)


def put_entries(
    connection: Connection, account_id: str, project: str, files: Sequence[FileEntry]
) -> None:
    """Add or replace manifest entries of a project (given by its id)."""
    if not files:
        return
    connection.execute(
        delete(manifest_entries).where(
            manifest_entries.c.project_id == bindparam("of_project"),
            manifest_entries.c.path == bindparam("of_path"),
        ),
        [{"of_project": project, "of_path": file.path} for file in files],
    )
    connection.execute(
        insert(manifest_entries),
        [
            {
                "project_id": project,
                "account_id": account_id,
                "path": file.path,
                "hash": file.hash,
                "size": file.size,
                "mtime_ns": file.mtime_ns,
            }
            for file in files
        ],
    )


def entries(connection: Connection, project: str) -> list[FileEntry]:
    """Return a project's manifest, sorted by path."""
    rows = connection.execute(
        select(
            manifest_entries.c.path,
            manifest_entries.c.hash,
            manifest_entries.c.size,
            manifest_entries.c.mtime_ns,
        ).where(manifest_entries.c.project_id == project)
    )
    # Sorted here: databases differ in how they order letters.
    return [
        FileEntry(path=row.path, hash=row.hash, size=row.size, mtime_ns=row.mtime_ns)
        for row in sorted(rows, key=lambda row: row.path)
    ]


def hashes(connection: Connection, project: str) -> dict[str, str]:
    """Return the hash of each file of a project's manifest, by path."""
    rows = connection.execute(
        select(manifest_entries.c.path, manifest_entries.c.hash).where(
            manifest_entries.c.project_id == project
        )
    )
    return {row.path: row.hash for row in rows}


def entries_page(connection: Connection, project: str, after: str, limit: int) -> list[FileEntry]:
    """Return up to ``limit`` lines of a project's manifest whose path comes after ``after``."""
    rows = connection.execute(
        select(
            manifest_entries.c.path,
            manifest_entries.c.hash,
            manifest_entries.c.size,
            manifest_entries.c.mtime_ns,
        )
        .where(manifest_entries.c.project_id == project, manifest_entries.c.path > after)
        .order_by(manifest_entries.c.path)
        .limit(limit)
    )
    return [
        FileEntry(path=row.path, hash=row.hash, size=row.size, mtime_ns=row.mtime_ns)
        for row in rows
    ]


def entry_hash(connection: Connection, project: str, path: str) -> str | None:
    """Return the hash of this path in the project's manifest; None when it is not there."""
    return connection.execute(
        select(manifest_entries.c.hash).where(
            manifest_entries.c.project_id == project, manifest_entries.c.path == path
        )
    ).scalar_one_or_none()


def any_blob(connection: Connection) -> bool:
    """Return whether any user has sent a file."""
    return connection.execute(select(blobs.c.hash).limit(1)).first() is not None


def blobs_of_job(connection: Connection, job_id: str, hashes: Collection[str]) -> set[str]:
    """Return which of these blobs are files of a job's project."""
    found = (
        select(manifest_entries.c.hash)
        .join(submissions, submissions.c.project_id == manifest_entries.c.project_id)
        .join(jobs, jobs.c.submission_id == submissions.c.id)
        .where(jobs.c.id == job_id, manifest_entries.c.hash.in_(hashes))
    )
    return set(connection.execute(found.distinct()).scalars())


def paths(connection: Connection, project: str) -> list[str]:
    """Return the paths of a project's manifest, in no order."""
    found = select(manifest_entries.c.path).where(manifest_entries.c.project_id == project)
    return list(connection.execute(found).scalars())


def summaries(connection: Connection, account_id: str) -> list[ProjectSummary]:
    """Return an account's projects, newest first."""
    rows = connection.execute(
        select(
            projects.c.name,
            projects.c.updated_at,
            func.count(manifest_entries.c.path).label("num_files"),
            func.coalesce(func.sum(manifest_entries.c.size), 0).label("total_size"),
        )
        .outerjoin(manifest_entries, manifest_entries.c.project_id == projects.c.id)
        .where(projects.c.account_id == account_id)
        .group_by(projects.c.id, projects.c.name, projects.c.updated_at)
        .order_by(projects.c.updated_at.desc())
    )
    return [
        ProjectSummary(
            name=row.name,
            num_files=row.num_files,
            total_size=int(row.total_size),
            updated_at=row.updated_at,
        )
        for row in rows
    ]
