"""Results of earlier submissions that jobs use.

They are fixed when a submission is checked: by job, by the prefix of their paths, and by the time
of the newest one. Later results of these jobs are not visible, and replaced ones are kept (`keep`),
so that a submission is a snapshot of these as well.
"""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from farm_protocol.files import KnownFile
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    func,
    insert,
    literal,
    select,
)

from farm.db.engine.dialects import dialect_of
from farm.db.engine.prepared import Prepared
from farm.db.engine.rows import values_of
from farm.db.tables import earlier_results, jobs, outputs, replaced_outputs, submissions

LAST = "\U0010ffff"
"""No character comes after it."""


@dataclass(frozen=True, slots=True)
class Use:
    """Results of an earlier job that a job of a later submission uses.

    Attributes:
        job_id: the earlier job.
        begins: prefix of their paths.
        until: time of the newest of them.
    """

    job_id: str
    begins: str
    until: datetime


def beginning(
    connection: Connection, project: str, begins: str, most: int
) -> list[tuple[str, str]]:
    """Return the results of a project whose paths have a prefix, and the job of each.

    If several submissions have the same path, the newest comes last.

    Parameters:
        begins: the prefix: at least a folder with its slash.
        most: maximum number of rows.
    """
    found = connection.execute(
        select(outputs.c.path, outputs.c.job_id)
        .join(submissions, submissions.c.id == outputs.c.submission_id)
        .where(
            *_may_have(project, begins),
            dialect_of(connection).between(outputs.c.path, begins, begins + LAST),
        )
        .order_by(submissions.c.number)
        .limit(most)
    )
    return [(row.path, row.job_id) for row in found]


def named(connection: Connection, project: str, path: str) -> tuple[str, str, str] | None:
    """Return the newest submission's result of this path: its blob, its job, its output folder.

    None: there is none.
    """
    found = connection.execute(
        select(outputs.c.hash, outputs.c.job_id, submissions.c.output_folder)
        .join(submissions, submissions.c.id == outputs.c.submission_id)
        .where(*_may_have(project, path), outputs.c.path == path)
        .order_by(submissions.c.number.desc())
        .limit(1)
    ).first()
    return None if found is None else (found.hash, found.job_id, found.output_folder)


def _may_have(project: str, path: str) -> Sequence[ColumnElement[bool]]:
    """Return which submissions may have written a path: results lie in their output folder."""
    parts = path.split("/")
    folders = ["/".join(parts[:count]) for count in range(1, len(parts))]
    return submissions.c.project_id == project, submissions.c.output_folder.in_(folders)


def newest(connection: Connection, job_id: str) -> datetime:
    """Return the time of the newest result of a job that has some."""
    query = select(func.max(outputs.c.created_at)).where(outputs.c.job_id == job_id)
    found: datetime = connection.execute(query).scalar_one()
    return found


@dataclass(frozen=True, slots=True)
class NewUse:
    """The row of a `Use` by a new job."""

    job_id: str
    needs_job_id: str
    begins: str
    until: datetime


def rows_of(job_id: str, uses: Sequence[Use]) -> list[NewUse]:
    """Return the rows for the results that a job uses."""
    return [NewUse(job_id, use.job_id, use.begins, use.until) for use in uses]


def add(connection: Connection, rows: Sequence[NewUse]) -> None:
    """Store the rows of new jobs."""
    _ADD.run_all(connection, [values_of(row) for row in rows])


_ADD = Prepared(insert(earlier_results).inline())


def keep(
    connection: Connection, job_id: str, paths: Collection[str], now: datetime
) -> Collection[str]:
    """Keep results that a job is about to replace, if jobs of later submissions use them.

    Returns the paths of what is kept.
    """
    if not paths:
        return ()
    of_others = select(earlier_results.c.job_id).where(earlier_results.c.needs_job_id == job_id)
    if connection.execute(of_others.limit(1)).first() is None:
        return ()
    dialect = dialect_of(connection)
    columns = [each.name for each in replaced_outputs.c if each.name != "replaced_at"]
    old = select(
        *(outputs.c[name] for name in columns), literal(now, replaced_outputs.c.replaced_at.type)
    ).where(outputs.c.job_id == job_id, dialect.among(outputs.c.path, "of_paths"))
    connection.execute(
        insert(replaced_outputs).from_select([*columns, "replaced_at"], old),
        {"of_paths": dialect.texts(list(paths))},
    )
    return paths


def used_by(connection: Connection, job_id: str) -> list[Use]:
    """Return which results of earlier submissions a job uses, the newest submission's last."""
    use = earlier_results.c
    rows = connection.execute(
        select(use.needs_job_id, use.begins, use.until, submissions.c.number)
        .join(jobs, jobs.c.id == use.needs_job_id)
        .join(submissions, submissions.c.id == jobs.c.submission_id)
        .where(use.job_id == job_id)
    ).all()
    found: list[Use] = []
    for row in sorted(rows, key=lambda row: (row.number, row.needs_job_id, row.until, row.begins)):
        before = found[-1] if found else None
        # Prefixes that a shorter prefix covers are omitted.
        if (
            before is None
            or (before.job_id, before.until) != (row.needs_job_id, row.until)
            or not row.begins.startswith(before.begins)
        ):
            found.append(Use(row.needs_job_id, row.begins, row.until))
    return found


def portions(connection: Connection, use: Use, size: int = 1000) -> Generator[list[KnownFile]]:
    """Yield these results in lists of up to ``size``, as they are read, in any order."""
    for table in (outputs, replaced_outputs):
        query = select(table.c.path, table.c.hash, table.c.size).where(
            table.c.job_id == use.job_id,
            table.c.created_at <= use.until,
            dialect_of(connection).between(table.c.path, use.begins, use.begins + LAST),
        )
        if table is replaced_outputs:
            query = query.where(table.c.replaced_at > use.until)
        with connection.execute(query, execution_options={"yield_per": size}) as rows:
            for some in rows.partitions():
                yield [KnownFile(path=row.path, hash=row.hash, size=row.size) for row in some]


def blobs_of_job(connection: Connection, job_id: str, hashes: Collection[str]) -> set[str]:
    """Return which of these blobs are among the results of earlier submissions for a job."""
    found: set[str] = set()
    for table in (outputs, replaced_outputs):
        query = _of_job(connection, table, job_id, "hash").where(table.c.hash.in_(hashes))
        found.update(connection.execute(query.distinct()).scalars())
    return found


def _of_job(connection: Connection, table: Table, job_id: str, *columns: str) -> Select[Any]:
    use = earlier_results.c
    query = (
        select(*(table.c[name] for name in columns))
        .join(earlier_results, use.needs_job_id == table.c.job_id)
        .join(jobs, jobs.c.id == table.c.job_id)
        .join(submissions, submissions.c.id == jobs.c.submission_id)
        .where(
            use.job_id == job_id,
            table.c.created_at <= use.until,
            dialect_of(connection).between(table.c.path, use.begins, use.begins + literal(LAST)),
        )
    )
    return query if table is outputs else query.where(table.c.replaced_at > use.until)
