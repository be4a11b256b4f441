"""How much processor time some processes have used, of which some come and go between two looks.

Pure: it is told numbers. Whoever ends is added to the one that waits for it. Where nobody waits, as
when SIGCHLD is ignored, the system forgets its time. What was seen of it stays counted here; what
was not seen is taken from those of its kind that run when somebody looks.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(frozen=True)
class Used:
    """Processor time in seconds.

    Attributes:
        own: of a process.
        waited: of those that it has waited for, and of those that these have waited for.
    """

    own: float = 0.0
    waited: float = 0.0


_Process = TypeVar("_Process", bound=Hashable)


class ProcessorTime(Generic[_Process]):
    """Adds up the time of processes, from look to look."""

    def __init__(self, processors: int) -> None:
        """Begin, with none. ``processors``: that they can use at a time."""
        self._processors = processors
        self._before: Mapping[_Process, Used] = {}
        self._looked_at = 0.0
        self.seconds = 0.0

    def looked(
        self, used: Mapping[_Process, Used], now: float, running: Callable[[_Process], int]
    ) -> float:
        """Return all that was used until now.

        Parameters:
            used: by each process that there is; {} when nobody could look.
            now: in seconds, of any clock that goes on.
            running: returns how many threads of a process want a processor.
        """
        if not used:
            return self.seconds
        before, interval = self._before, now - self._looked_at
        ended = [each for process, each in before.items() if process not in used]
        own = waited = 0.0
        for process, each in used.items():
            last = before.get(process, Used())
            own += max(0.0, each.own - last.own)
            waited += max(0.0, each.waited - last.waited)
        # Of those that have ended, what was seen is counted, whether somebody waited or not.
        grown = own + max(0.0, waited - sum(each.own + each.waited for each in ended))
        if ended:
            # In the place of those that ended there may have been any number of others.
            new = sum(running(process) for process in used if process not in before)
            grown = max(grown, min(new, self._processors) * interval)
        self.seconds += grown
        self._before, self._looked_at = dict(used), now
        return self.seconds
