"""Warnings that a job gets after it was submitted."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from farm.db import feed
from farm.db.tables import jobs

MOST = 100
"""Most warnings of a job. Runners report what they find again and again."""


def news(known: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return those of the texts that a job with these warnings does not have yet, each once."""
    new = [text for text in dict.fromkeys(texts) if text not in known]
    return new[: max(0, MOST - len(known))]


def add(connection: Connection, job_id: str, texts: Sequence[str]) -> None:
    """Add warnings to an existing job, each once, and report them to the feed."""
    row = connection.execute(
        select(jobs.c.account_id, jobs.c.warnings).where(jobs.c.id == job_id)
    ).one()
    new = news(row.warnings, texts)
    if not new:
        return
    connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(warnings=[*row.warnings, *new])
    )
    feed.job_changed(connection, row.account_id, job_id)
