"""The change feed, the runners' log, and the farm's identity.

The feed has one row for each job and one for each of its results. When a job or result changes
again, it gets a new row, and the old one is deleted in the same transaction. A reader that has not
reached the old row finds the new one later, and the size of the feed depends on the number of jobs
and results, not on that of the changes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from farm_protocol.changes import Changes, GoneOutput, Output
from farm_protocol.jobs import JobLog
from sqlalchemy import Connection, Text, and_, bindparam, delete, func, insert, select

from farm.db import jobs as job_table
from farm.db import outputs as outputs_of
from farm.db.engine.dialects import PreparedForEach, dialect_of
from farm.db.engine.prepared import Prepared
from farm.db.tables import changes, farm_info, job_dependencies, log_chunks, outputs

_PAGE = 1000


def farm_id(connection: Connection) -> str | None:
    """Return the identity of this database, None before `ensure_farm_id`."""
    return connection.execute(select(farm_info.c.farm_id)).scalar_one_or_none()


def ensure_farm_id(connection: Connection) -> None:
    """Give a new database its identity."""
    if farm_id(connection) is None:
        connection.execute(insert(farm_info).values(farm_id=uuid4().hex))


def job_changed(connection: Connection, account_id: str, job_id: str) -> None:
    """Record a change of a job."""
    jobs_changed(connection, account_id, [job_id])


def jobs_changed(connection: Connection, account_id: str, job_ids: Iterable[str]) -> None:
    """Record changes of jobs of one account."""
    ids = list(dict.fromkeys(job_ids))
    if ids:
        _DROP_JOB.run_all(connection, [{"of_job": job_id} for job_id in ids])
        _ADD.run_all(connection, [{"account_id": account_id, "job_id": job_id} for job_id in ids])


def outputs_changed(
    connection: Connection, account_id: str, job_id: str, paths: Sequence[str]
) -> None:
    """Record result files that were added or removed, and a change of their job."""
    distinct = list(dict.fromkeys(paths))
    if distinct:
        paths_given = dialect_of(connection).texts(distinct)
        _DROP_OUTPUTS.on(connection).run(connection, of_job=job_id, of_paths=paths_given)
        _ADD_OUTPUTS.on(connection).run(
            connection, of_account=account_id, of_job=job_id, of_paths=paths_given
        )
    job_changed(connection, account_id, job_id)


_ADD = Prepared(insert(changes).inline())
_OF_JOB = changes.c.job_id == bindparam("of_job")
_DROP_JOB = Prepared(delete(changes).where(_OF_JOB, changes.c.output_path.is_(None)))


def _drop_outputs(dialect: Any) -> Prepared:
    is_output = changes.c.output_path.is_not(None)  # The condition of the partial index.
    given = select(dialect.given("of_paths"))
    return Prepared(delete(changes).where(_OF_JOB, is_output, changes.c.output_path.in_(given)))


def _add_outputs(dialect: Any) -> Prepared:
    account, job = bindparam("of_account", type_=Text), bindparam("of_job", type_=Text)
    return Prepared(
        insert(changes).from_select(
            ["account_id", "job_id", "output_path"],
            select(account, job, dialect.given("of_paths")),
        )
    )


_DROP_OUTPUTS, _ADD_OUTPUTS = PreparedForEach(_drop_outputs), PreparedForEach(_add_outputs)


def newest(connection: Connection, account_id: str) -> int:
    """Return the cursor of the account's newest change; 0 when there is none."""
    newest = connection.execute(
        select(func.max(changes.c.id)).where(changes.c.account_id == account_id)
    ).scalar_one()
    return newest or 0


def newest_of_all(connection: Connection) -> int:
    """Return the number of the newest change of any account; 0 when there is none."""
    return connection.execute(select(func.max(changes.c.id))).scalar_one() or 0


def lines_of_needed(connection: Connection, job_id: str) -> list[int]:
    """Return the feed ids of the jobs that a job depends on, sorted.

    If they differ from an earlier answer, one of these jobs, or its results, may have changed.
    """
    rows = connection.execute(
        select(changes.c.id)
        .join(job_dependencies, job_dependencies.c.needs_job_id == changes.c.job_id)
        .where(job_dependencies.c.job_id == job_id, changes.c.output_path.is_(None))
        .order_by(changes.c.id)
    )
    return list(rows.scalars())


def after(connection: Connection, account_id: str, cursor: int, most: int = _PAGE) -> Changes:
    """Return the changes after ``cursor``: one page; `Changes.more` if there are further pages.

    Parameters:
        most: number of rows per page.
    """
    rows = connection.execute(
        # The columns of `outputs` are NULL if the file is gone.
        select(
            changes.c.id,
            changes.c.job_id,
            changes.c.output_path,
            outputs.c.submission_id,
            outputs.c.frame,
            outputs.c.path,
            outputs.c.hash,
            outputs.c.size,
            outputs.c.created_at,
        )
        .outerjoin(
            outputs,
            and_(outputs.c.job_id == changes.c.job_id, outputs.c.path == changes.c.output_path),
        )
        .where(changes.c.account_id == account_id, changes.c.id > cursor)
        .order_by(changes.c.id)
        .limit(most)
    ).all()
    jobs = job_table.by_ids(connection, {row.job_id for row in rows}) if rows else []
    submissions = {job.id: job.submission_id for job in jobs}
    # In the order of the newest changes: another job may have written the same path.
    files: dict[tuple[str, str], Output | GoneOutput] = {}
    for row in rows:
        if row.output_path is None:
            continue
        key = (row.job_id, row.output_path)
        files.pop(key, None)
        files[key] = (
            GoneOutput(
                submission_id=submissions[row.job_id], job_id=row.job_id, path=row.output_path
            )
            if row.hash is None
            else outputs_of.output(row)
        )
    return Changes(
        farm_id=farm_id(connection) or "",
        cursor=rows[-1].id if rows else cursor,
        outputs=[each for each in files.values() if isinstance(each, Output)],
        jobs=jobs,
        gone=[each for each in files.values() if isinstance(each, GoneOutput)],
        more=len(rows) == most,
    )


def add_log(connection: Connection, job_id: str, claim_id: str, start: int, text: str) -> None:
    """Append a piece to a claim's log, unless it is already stored."""
    there = connection.execute(
        select(log_chunks.c.id).where(
            log_chunks.c.claim_id == claim_id, log_chunks.c.start == start
        )
    ).first()
    if there is None and text:
        connection.execute(
            insert(log_chunks).values(job_id=job_id, claim_id=claim_id, start=start, text=text)
        )


def log_end(connection: Connection, claim_id: str) -> int:
    """Return the offset of the next piece of a claim's log, in characters; 0 for the first one."""
    last = connection.execute(
        select(log_chunks.c.start, log_chunks.c.text)
        .where(log_chunks.c.claim_id == claim_id)
        .order_by(log_chunks.c.start.desc())
        .limit(1)
    ).first()
    # Counted here: SQLite's length() ends at a NUL.
    return 0 if last is None else max(0, last.start + len(last.text))


def read_log(
    connection: Connection, job_id: str, cursor: int, claim_id: str | None = None
) -> JobLog:
    """Return the next page of a job's log after ``cursor``, or of a single claim's log."""
    query = select(log_chunks.c.id, log_chunks.c.text).where(log_chunks.c.job_id == job_id)
    if claim_id is not None:
        query = query.where(log_chunks.c.claim_id == claim_id)
    texts: list[str] = []
    size = 0
    while size < LOG_PAGE and len(texts) < _PAGE:
        # Only a few rows at a time: each may have a million characters.
        rows = connection.execute(
            query.where(log_chunks.c.id > cursor).order_by(log_chunks.c.id).limit(_LOG_PIECES)
        ).all()
        if not rows:
            break
        texts += (row.text for row in rows)
        size += sum(len(row.text) for row in rows)
        cursor = rows[-1].id
    return JobLog(text="".join(texts), cursor=cursor)


LOG_PAGE = 2_000_000
"""A page of a log ends after this many characters; it may be a few pieces longer."""
_LOG_PIECES = 4


def log_line(now: datetime, text: str) -> str:
    """Format a message of the farm itself for a job's log."""
    return f"{now:%Y-%m-%d %H:%M:%S} farm: {text}\n"
