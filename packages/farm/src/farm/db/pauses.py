"""Long work on many rows that leaves the processor to others in between."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_AT_ONCE_SECONDS = 0.1
_MOST_PAUSE_SECONDS = 0.05


def with_pauses(portions: Iterable[T]) -> Iterator[T]:
    """Yield portions, each of some milliseconds' work.

    Python runs one thread at a time: seconds of uninterrupted work delay every step of all others.
    So after a moment of work, each portion is followed by a pause as long as the portion and its
    processing took.
    """
    worked = 0.0
    began = time.monotonic()
    for each in portions:
        yield each
        took = time.monotonic() - began
        worked += took
        if worked > _AT_ONCE_SECONDS:
            time.sleep(min(took, _MOST_PAUSE_SECONDS))
        began = time.monotonic()
