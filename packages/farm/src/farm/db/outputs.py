"""Result files of jobs."""

from collections.abc import Collection, Generator, Iterable, Sequence
from datetime import datetime
from typing import Any

from farm_protocol.changes import Output
from farm_protocol.files import KnownFile
from farm_protocol.runner import OutputFile
from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Row,
    Text,
    bindparam,
    func,
    literal,
    select,
    text,
)

from farm.db.engine.dialects import PreparedForEach, dialect_of
from farm.db.engine.prepared import Prepared
from farm.db.tables import jobs, outputs

_KEY = ("job_id", "path")


def _upsert(dialect: Any) -> Prepared:
    path, blob_hash, size = dialect.table("of_files", [Text, Text, BigInteger])
    values = {
        outputs.c.job_id: bindparam("of_job", type_=Text),
        outputs.c.path: path,
        outputs.c.submission_id: bindparam("of_submission", type_=Text),
        outputs.c.account_id: bindparam("of_account", type_=Text),
        outputs.c.frame: bindparam("of_frame", type_=Integer),
        outputs.c.hash: blob_hash,
        outputs.c.size: size,
        outputs.c.created_at: bindparam("at", type_=outputs.c.created_at.type),
    }
    # "WHERE true" keeps SQLite from taking the following "ON" for that of a join.
    new = dialect.insert(outputs).from_select(
        list(values), select(*values.values()).where(text("true"))
    )
    replaced = {each.name: each for each in new.excluded if each.name not in _KEY}
    return Prepared(new.on_conflict_do_update(index_elements=_KEY, set_=replaced))


def _of_others(dialect: Any) -> Prepared:
    path = dialect.given("of_paths")
    # One of another job for each path, of which a submission may have very many: all of them have
    # the same bytes, since each was compared with one of those before it.
    other = (
        select(outputs.c.hash + literal(" ") + outputs.c.job_id)
        .where(
            outputs.c.submission_id == bindparam("of_submission"),
            outputs.c.job_id != bindparam("of_job"),
            outputs.c.path == path,
        )
        .limit(1)
        .scalar_subquery()
    )
    each = select(path.label("path"), other.label("other")).subquery()
    return Prepared(select(each).where(each.c.other.is_not(None)))


def _known_of(dialect: Any) -> Prepared:
    return Prepared(
        select(outputs.c.path).where(
            outputs.c.job_id == bindparam("of_job"), dialect.among(outputs.c.path, "of_paths")
        )
    )


_STORE, _OF_OTHERS, _KNOWN = map(PreparedForEach, (_upsert, _of_others, _known_of))

_ROW_BYTES = 600
"""Bytes of a result and its line in the feed in the database, beside its path."""


def taken(
    connection: Connection, submission_id: str, job_id: str, files: Sequence[OutputFile]
) -> tuple[str, str] | None:
    """Return one of these files that another job of the submission has written, and its name.

    None: there is none. The same bytes in both are harmless.
    """
    if not files:
        return None
    hashes = {file.path: file.hash for file in files}
    paths = dialect_of(connection).texts(list(hashes))
    found = _OF_OTHERS.on(connection).rows(
        connection, of_submission=submission_id, of_job=job_id, of_paths=paths
    )
    for path, other in found:
        blob_hash, other_id = other.split()
        if blob_hash != hashes[path]:
            name = select(jobs.c.name).where(jobs.c.id == other_id)
            return path, connection.execute(name).scalar_one()
    return None


def known(connection: Connection, job_id: str, paths: Collection[str]) -> set[str]:
    """Return which of these files a job already has."""
    if not paths:
        return set()
    these = dialect_of(connection).texts(list(paths))
    return {
        path for (path,) in _KNOWN.on(connection).rows(connection, of_job=job_id, of_paths=these)
    }


def count_of_frame(connection: Connection, job_id: str, frame: int) -> int:
    """Return the number of a frame's files."""
    of_frame = outputs.c.job_id == job_id, outputs.c.frame == frame
    return connection.execute(select(func.count()).where(*of_frame)).scalar_one()


def size_of(paths: Iterable[str]) -> int:
    """Return how much the database grows when a job gets these files.

    A path is stored in two tables and their indexes: five times.
    """
    return sum(_ROW_BYTES + 5 * len(path.encode()) for path in paths)


def store(
    connection: Connection,
    *,
    job_id: str,
    submission_id: str,
    account_id: str,
    frame: int,
    files: Sequence[OutputFile],
    now: datetime,
) -> None:
    """Store the files of a frame, replacing existing ones."""
    # The last one wins when a path occurs twice.
    last = {file.path: (file.path, file.hash, file.size) for file in files}
    _STORE.on(connection).run(
        connection,
        of_job=job_id,
        of_submission=submission_id,
        of_account=account_id,
        of_frame=frame,
        at=now,
        **dialect_of(connection).rows("of_files", list(last.values())),
    )


def of_job(connection: Connection, job_id: str, after: str, limit: int) -> list[Output]:
    """Return up to ``limit`` result files of a job whose path comes after ``after``."""
    rows = connection.execute(
        select(outputs)
        .where(outputs.c.job_id == job_id, outputs.c.path > after)
        .order_by(outputs.c.path)
        .limit(limit)
    )
    return [output(each) for each in rows]


def output(row: Row[*tuple[Any, ...]]) -> Output:
    """Return a result file made from its columns of ``outputs``."""
    return Output(
        submission_id=row.submission_id,
        job_id=row.job_id,
        frame=row.frame,
        path=row.path,
        hash=row.hash,
        size=row.size,
        created_at=row.created_at,
    )


def blobs_of_jobs(
    connection: Connection, job_ids: Sequence[str], hashes: Collection[str]
) -> set[str]:
    """Return which of these blobs are results of these jobs."""
    mine = outputs.c.job_id.in_(job_ids)
    found = select(outputs.c.hash).where(mine, outputs.c.hash.in_(hashes))
    return set(connection.execute(found.distinct()).scalars())


def portions(connection: Connection, job_id: str, size: int = 1000) -> Generator[list[KnownFile]]:
    """Yield a job's results, as files for a dependent job, while they are read.

    There may be a million, so they come in portions, in no order.
    """
    query = select(outputs.c.path, outputs.c.hash, outputs.c.size).where(outputs.c.job_id == job_id)
    with connection.execute(query, execution_options={"yield_per": size}) as rows:
        for some in rows.partitions():
            yield [KnownFile(path=each.path, hash=each.hash, size=each.size) for each in some]
