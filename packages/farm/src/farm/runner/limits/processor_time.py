"""Processor time used by a set of processes, some of which start and end between two samples.

Pure: it gets numbers. When a process ends, its time is added to that of the parent that waits for
it. If no process waits for it, for example because SIGCHLD is ignored, the system forgets its time.
Time that was sampled before stays counted here. The rest is estimated from the new processes that
are running at the next sample.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(frozen=True)
class Used:
    """Processor time in seconds.

    Attributes:
        own: of the process itself.
        waited: of its ended descendants for which their parents have waited.
    """

    own: float = 0.0
    waited: float = 0.0


_Process = TypeVar("_Process", bound=Hashable)


class ProcessorTime(Generic[_Process]):
    """Adds up the processor time of processes, from sample to sample."""

    def __init__(self, processors: int) -> None:
        """Begin without processes. ``processors``: how many they can use at a time."""
        self._processors = processors
        self._before: Mapping[_Process, Used] = {}
        self._sampled_at = 0.0
        self.seconds = 0.0

    def update(
        self, used: Mapping[_Process, Used], now: float, running: Callable[[_Process], int]
    ) -> float:
        """Add a sample; return the total processor time in seconds.

        Parameters:
            used: the times of all current processes; {} if they could not be read.
            now: time of the sample in seconds, of any monotonic clock.
            running: returns how many threads of a process are running or runnable.
        """
        if not used:
            return self.seconds
        before, interval = self._before, now - self._sampled_at
        ended = [each for process, each in before.items() if process not in used]
        own = waited = 0.0
        for process, each in used.items():
            last = before.get(process, Used())
            own += max(0.0, each.own - last.own)
            waited += max(0.0, each.waited - last.waited)
        # The sampled time of ended processes is counted already; if a parent has waited for them,
        # it is also part of ``waited``.
        grown = own + max(0.0, waited - sum(each.own + each.waited for each in ended))
        if ended:
            # Any number of others may have started and ended in their place.
            new = sum(running(process) for process in used if process not in before)
            grown = max(grown, min(new, self._processors) * interval)
        self.seconds += grown
        self._before, self._sampled_at = dict(used), now
        return self.seconds
