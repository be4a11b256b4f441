"""Projects of accounts. `farm.db.manifests` has their files."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from farm_protocol.files import ProjectSummary
from sqlalchemy import Connection, func, insert, select, update

from farm.db.engine.rows import columns_of, first_as, values_of
from farm.db.tables import manifest_entries, projects


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project as it is between two changes.

    Attributes:
        snapshots: how many were taken of its files.
        revision: how often its files have changed.
    """

    id: str
    updated_at: datetime
    snapshots: int
    revision: int

    @property
    def next_snapshot(self) -> int:
        """Return the number of the snapshot that will include files that are put now."""
        return self.snapshots + 1


def find(connection: Connection, account_id: str, name: str) -> ProjectRow | None:
    """Return an account's project; None when there is none."""
    found = connection.execute(
        select(*columns_of(ProjectRow, projects.c)).where(
            projects.c.account_id == account_id, projects.c.name == name
        )
    )
    return first_as(ProjectRow, found)


def ensure(connection: Connection, account_id: str, name: str, now: datetime) -> ProjectRow:
    """Return an account's project, creating it if necessary, marked as changed now."""
    row = find(connection, account_id, name)
    if row is not None:
        connection.execute(update(projects).where(projects.c.id == row.id).values(updated_at=now))
        return replace(row, updated_at=now)
    row = ProjectRow(id=uuid4().hex, updated_at=now, snapshots=0, revision=0)
    connection.execute(insert(projects).values(account_id=account_id, name=name, **values_of(row)))
    return row


def revise(connection: Connection, project: ProjectRow) -> ProjectRow:
    """Note that a project's files change; returns it as it is then."""
    revised = replace(project, revision=project.revision + 1)
    connection.execute(
        update(projects).where(projects.c.id == project.id).values(revision=revised.revision)
    )
    return revised


def take_snapshot(connection: Connection, project: ProjectRow) -> int:
    """Return the number of a new snapshot: the files that the project has at this moment."""
    connection.execute(
        update(projects).where(projects.c.id == project.id).values(snapshots=project.next_snapshot)
    )
    return project.next_snapshot


def summaries(
    connection: Connection, account_id: str, after: str | None, limit: int
) -> list[ProjectSummary]:
    """Return up to ``limit`` projects of an account.

    Parameters:
        after: those whose name comes after it, by name; None: the newest, newest first.
    """
    wanted = select(projects.c.id, projects.c.name, projects.c.updated_at).where(
        projects.c.account_id == account_id
    )
    if after is None:
        wanted = wanted.order_by(projects.c.updated_at.desc(), projects.c.name)
    else:
        wanted = wanted.where(projects.c.name > after).order_by(projects.c.name)
    page = wanted.limit(limit).subquery()
    order = page.c.updated_at.desc() if after is None else page.c.name
    rows = connection.execute(
        select(
            page.c.name,
            page.c.updated_at,
            func.count(manifest_entries.c.path).label("num_files"),
            func.coalesce(func.sum(manifest_entries.c.size), 0).label("total_size"),
        )
        .outerjoin(manifest_entries, manifest_entries.c.project_id == page.c.id)
        .group_by(page.c.id, page.c.name, page.c.updated_at)
        .order_by(order, page.c.name)
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
