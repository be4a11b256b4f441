"""Is the renderer still at work? Pure: given events and the time, it says when to end it.

`Watchdog` ends one that is silent or slow, `Flood` one that prints without end.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from farm.products import Timeout
from farm.runner.failure import Failure

LINES, LINES_A_SECOND = 50_000, 2_000
CHARACTERS, CHARACTERS_A_SECOND = 64_000_000, 1_000_000
"""How much a renderer may print at once, and how much more per second. The most verbose programs
print a hundred lines per second; each costs the runner processor time that no job pays for.
"""


@dataclass(frozen=True)
class Limit:
    """``seconds`` that something may take; ``name``: of the parameter with which a job sets it."""

    seconds: float
    name: str


def limit_of(timeout: Timeout, parameters: Mapping[str, JsonValue]) -> Limit:
    """Return the job's own limit, or the product's when it sets none."""
    own = parameters.get(timeout.parameter)
    given = isinstance(own, int | float) and own > 0
    return Limit(float(own) if given else timeout.seconds, timeout.parameter)  # type: ignore[arg-type]


class Watchdog:
    """Watches one renderer. All times are seconds of one monotonic clock."""

    def __init__(self, frame: Limit, silence: Limit, now: float) -> None:
        """Start watching.

        Parameters:
            frame: how long one frame may take; the first one's time includes the start-up.
            silence: how long the renderer may print nothing.
        """
        self._frame_limit, self._silence_limit = frame, silence
        self._mark = self._heard = now

    def heard(self, now: float) -> None:
        """The renderer has printed a line: its silence ends."""
        self._heard = now

    def frame_written(self, now: float) -> None:
        """A frame is written: the time of the next one begins."""
        self._mark = self._heard = now

    def overdue(self, now: float, frame: int | None) -> Failure | None:
        """Return why the renderer must be ended now, None when it may continue.

        Parameters:
            frame: that is being rendered; None between frames and before the first.
        """
        what = "No frame was started" if frame is None else f"Frame {frame} was not done"
        where = "" if frame is None else f" while it rendered frame {frame}"
        limit = self._frame_limit
        if now - self._mark > limit.seconds:
            return Failure(f"{what} within {limit.seconds:g} s ({limit.name}).", False)
        limit = self._silence_limit
        if now - self._heard > limit.seconds:
            return Failure(
                f"The renderer printed nothing for {limit.seconds:g} s ({limit.name}){where}.",
                False,
            )
        return None


class Flood:
    """Measures what a renderer prints. Times are seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        """Start measuring the renderer's output."""
        self._at = now
        self._lines, self._characters = float(LINES), float(CHARACTERS)

    def heard(self, characters: int, now: float) -> Failure | None:
        """The renderer has printed a line; return why it must be ended, or None."""
        passed, self._at = now - self._at, now
        self._lines = min(LINES, self._lines + passed * LINES_A_SECOND) - 1
        room = self._characters + passed * CHARACTERS_A_SECOND
        self._characters = min(CHARACTERS, room) - characters
        if self._lines >= 0 and self._characters >= 0:
            return None
        return Failure(
            f"The renderer printed too much: more than {LINES_A_SECOND} lines or "
            f"{CHARACTERS_A_SECOND // 1000} kB a second, for too long.",
            True,
        )
