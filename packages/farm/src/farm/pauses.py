"""Long work on many rows, which leaves the processor to others in between."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_AT_ONCE_SECONDS = 0.1
_MOST_PAUSE_SECONDS = 0.05


def with_pauses(portions: Iterable[T]) -> Iterator[T]:
    """Yield portions of some milliseconds' work each.

    Python computes one thing at a time: whoever goes on for seconds makes everybody else wait for
    each of their steps. So after a moment of work, each portion is followed by a pause as long as
    it took, with what was done with it.
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
