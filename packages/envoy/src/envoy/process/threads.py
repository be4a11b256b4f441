"""Blocking work in threads, of which there are always enough.

A disk that does not answer keeps a thread for ever, and nothing can end it. In a pool of a fixed
size a few of them would stop everything else; so here each piece of work gets a thread that is
free, or a new one. How much runs together is decided by those who ask (`envoy.process.slots`).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a blocking function returns; when cancelled, it goes on unheard."""
    work = partial(function, *args, **kwargs)
    return await run_sync(work, abandon_on_cancel=True, limiter=CapacityLimiter(math.inf))
