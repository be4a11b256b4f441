"""Programs of render nodes, and how they enforce limits, as their runners reported."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from farm_protocol.runner import HostLimits, Program
from sqlalchemy import Connection, delete, insert, select

from farm.db.engine.rows import columns_of, rows_as
from farm.db.tables import host_limits, host_programs

COUNTS_FOR = timedelta(days=1)
"""A program that no runner of its host has reported for this long may be gone."""

MOST_OF_A_HOST = 500
"""Limit on remembered programs of a host, the most recently reported ones."""


@dataclass(frozen=True, slots=True)
class HostProgram:
    """A program of a host, and when it was last reported."""

    host: str
    app: str
    version: str
    plugins: list[str]
    reported_at: datetime


def report(connection: Connection, host: str, programs: Iterable[Program], now: datetime) -> None:
    """Store what a runner found. It looked no further than necessary: other programs stay."""
    for each in programs:
        connection.execute(
            delete(host_programs).where(
                host_programs.c.host == host,
                host_programs.c.app == each.app,
                host_programs.c.version == each.version,
            )
        )
        connection.execute(
            insert(host_programs).values(
                host=host,
                app=each.app,
                version=each.version,
                plugins=each.plugins,
                reported_at=now,
            )
        )
    of_host = (
        select(host_programs.c.app, host_programs.c.version)
        .where(host_programs.c.host == host)
        .order_by(host_programs.c.reported_at.desc())
    )
    for old in connection.execute(of_host.offset(MOST_OF_A_HOST)).all():
        connection.execute(
            delete(host_programs).where(
                host_programs.c.host == host,
                host_programs.c.app == old.app,
                host_programs.c.version == old.version,
            )
        )


def start_over(
    connection: Connection,
    host: str,
    programs: Iterable[Program],
    held: HostLimits,
    now: datetime,
) -> None:
    """Forget all hosts, and store the programs of this one: a farm starts, on this machine.

    Other hosts report again with their first claim.
    """
    connection.execute(delete(host_programs))
    connection.execute(delete(host_limits))
    report(connection, host, programs, now)
    report_limits(connection, host, held)


def report_limits(connection: Connection, host: str, held: HostLimits) -> None:
    """Store how a host enforces renderers' limits."""
    connection.execute(delete(host_limits).where(host_limits.c.host == host))
    row = {"host": host, "held": held.model_dump(mode="json")}
    connection.execute(insert(host_limits).values(row))


def limits(connection: Connection) -> dict[str, HostLimits]:
    """Return how each host enforces renderers' limits, if reported."""
    query = select(host_limits.c.host, host_limits.c.held).order_by(host_limits.c.host)
    return {row.host: HostLimits.model_validate(row.held) for row in connection.execute(query)}


def recent(connection: Connection, now: datetime) -> dict[str, list[Program]]:
    """Return the programs that are still valid, by host."""
    query = select(host_programs).where(host_programs.c.reported_at > now - COUNTS_FOR)
    found = defaultdict(list)
    for row in connection.execute(query.order_by(host_programs.c.host)):
        found[row.host].append(Program(app=row.app, version=row.version, plugins=row.plugins))
    return dict(found)


def of(connection: Connection, host: str, now: datetime) -> list[Program]:
    """Return the programs of one host that are still valid."""
    query = select(host_programs).where(
        host_programs.c.host == host, host_programs.c.reported_at > now - COUNTS_FOR
    )
    return [
        Program(app=row.app, version=row.version, plugins=row.plugins)
        for row in connection.execute(query)
    ]


def fetch_all(connection: Connection) -> list[HostProgram]:
    """Return every report that was not replaced, by host, product and version."""
    columns = host_programs.c
    query = select(*columns_of(HostProgram, columns)).order_by(
        columns.host, columns.app, columns.version
    )
    return rows_as(HostProgram, connection.execute(query))
