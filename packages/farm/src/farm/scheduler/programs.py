"""Whether a host has what a job needs, by what its runners told of its programs."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from farm.catalog.definitions import Definitions
from farm.catalog.products import Installed, product_rows, takes, versions_of
from farm.db import hosts, job_rows
from farm.db.job_rows import JobRow
from farm.jobs.hosts import REFUSED_PAUSE_SECONDS
from farm.renderers import series
from farm.scheduler import writer


def refusal(
    connection: Connection, definitions: Definitions, job: JobRow, host: str, now: datetime
) -> str:
    """Return why a runner on ``host`` cannot do a job; "" when it can, or nothing is known.

    The job then starts no runner for a while, so that another host may have the next one.
    """
    programs = [Installed.of(each) for each in hosts.of(connection, host, now)]
    app, version = job["app"], job["app_version"]
    if not any(each.app == app for each in programs):
        return ""
    plugins = job_rows.plugins(connection, job["id"])
    rows = versions_of(product_rows(programs, definitions), app)
    same_series = [row for row in rows if series(app, row.version) == series(app, version)]
    # A runner prefers the very version.
    chosen = [row for row in same_series if row.version == version] or same_series
    if any(takes(row, plugins) for row in chosen):
        return ""
    wanted = f"{app} {version}" + (f" with {', '.join(plugins)}" if chosen else "")
    reason = f"'{host}' has no {wanted}"
    until = now + timedelta(seconds=REFUSED_PAUSE_SECONDS)
    job_rows.put(connection, job, not_before=until)
    writer.say(connection, job, f"Waits for another machine: {reason}.")
    return f"{reason}: another machine shall do this job."
