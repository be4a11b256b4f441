"""Warnings that a job gets after it was submitted."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from farm.db import feed
from farm.db.tables import jobs

MOST = 100
"""Most warnings of a job. Runners report what they find again and again."""

MOST_BYTES = 50_000
"""Limit on all warnings of a job as the database stores them. Lists of jobs show them all, and no
quota counts them.
"""


def news(known: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return those of the texts that a job with these warnings does not have yet, each once.

    What a job has no room for is left out.
    """
    size = sum(map(_size, known))
    new = list[str]()
    for text in dict.fromkeys(texts):
        if text in known or len(known) + len(new) >= MOST or size + _size(text) > MOST_BYTES:
            continue
        size += _size(text)
        new.append(text)
    return new


def _size(text: str) -> int:
    # Escaped: six bytes for many a character, and twelve for an emoji.
    return len(json.dumps(text)) + 2


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
