"""Whether a host has what a job needs, according to its runners' reports on its programs."""

from datetime import datetime

from sqlalchemy import Connection

from farm.catalogue.definitions import Definitions
from farm.catalogue.products import Installed, product_rows, takes, versions_of
from farm.db import hosts, job_rows
from farm.db.job_rows import JobRow


def lacking(
    connection: Connection, definitions: Definitions, job: JobRow, host: str, now: datetime
) -> str:
    """Return what a host lacks for a job; "" when it lacks nothing, or nothing is known."""
    programs = [Installed.of(each) for each in hosts.of(connection, host, now)]
    app, version = job.app, job.app_version
    if not any(each.app == app for each in programs):
        return ""
    plugins = job_rows.plugins(connection, job.id)
    rows = versions_of(product_rows(programs, definitions), app)
    series = definitions.library.series
    same_series = [row for row in rows if series(app, row.version) == series(app, version)]
    # A runner prefers the exact version.
    chosen = [row for row in same_series if row.version == version] or same_series
    if any(takes(row, plugins) for row in chosen):
        return ""
    return f"{app} {version}" + (f" with {', '.join(plugins)}" if chosen else "")
