"""Which of the pending files the farm is told about when it checks a submission. Pure.

It is told about all of them, unless there are very many: then about those in folders that jobs
name.
"""

from collections.abc import Collection, Iterator, Sequence

from farm_protocol.jobs import MAX_PENDING, JobSpec
from pydantic import JsonValue

MOST_BYTES = 32_000_000
"""Limit of all paths together; the farm accepts about twice as much."""


def paths_to_announce(coming: Collection[str], jobs: Sequence[JobSpec]) -> list[str]:
    """Return the remote paths that the farm is told about, sorted.

    Parameters:
        coming: all pending files.
    """
    if len(coming) <= MAX_PENDING and sum(len(path.encode()) for path in coming) <= MOST_BYTES:
        return sorted(coming)
    named = {_folder(text.strip("/")) for job in jobs for text in (job.path, *_texts(job.params))}
    some = sorted(path for path in coming if _folder(path) in named)
    return some[:MAX_PENDING]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
