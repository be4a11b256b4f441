"""Which download is next: one lane for each watch folder. Pure but for the clock given in.

A folder whose disk is full or not writable pauses alone, and is then tried with one download at a
time, so that the other folders continue and a million waiting frames do not hammer a full disk.
"""

from collections import deque
from dataclasses import dataclass, field

from envoy.process.status_messages import NO_MESSAGE, Reason, StatusMessage
from envoy.process.waiting import pause_seconds


@dataclass(slots=True)
class Lane:
    """The downloads into one folder. ``status``: why it is paused, if it is."""

    queue: deque[int] = field(default_factory=deque)
    active: int = 0
    failures: int = 0
    resume_at: float = 0.0
    status: StatusMessage = NO_MESSAGE


class Lanes:
    """All lanes. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def add(self, folder: str, download_id: int) -> None:
        """Queue a download."""
        self._lanes.setdefault(folder, Lane()).queue.append(download_id)

    def clear(self) -> None:
        """Forget everything that is queued."""
        self._lanes = {folder: lane for folder, lane in self._lanes.items() if lane.active}
        for lane in self._lanes.values():
            lane.queue.clear()

    def take(self, now: float) -> tuple[str, int] | None:
        """Return the next (folder, download) to work on, or None when none may start now."""
        for folder, lane in self._lanes.items():
            if not lane.queue or (lane.failures and (lane.active or now < lane.resume_at)):
                continue
            lane.active += 1
            # To the back of the queue: folders take turns.
            self._lanes[folder] = self._lanes.pop(folder)
            return folder, lane.queue.popleft()
        return None

    def next_resume(self) -> float | None:
        """Return when the first paused lane resumes, or None."""
        times = [
            lane.resume_at
            for lane in self._lanes.values()
            if lane.queue and lane.failures and not lane.active
        ]
        return min(times, default=None)

    def succeeded(self, folder: str) -> None:
        """The folder was writable: it is no longer paused."""
        lane = self._release(folder)
        lane.failures = 0
        lane.status = NO_MESSAGE
        if not lane.queue and not lane.active:
            del self._lanes[folder]

    def released(self, folder: str) -> None:
        """A download ended in a way that says nothing about the folder."""
        lane = self._release(folder)
        if not lane.queue and not lane.active:
            del self._lanes[folder]

    def failed(self, folder: str, download_id: int, status: StatusMessage, now: float) -> None:
        """The folder was not writable: pause it, and retry this download later."""
        lane = self._release(folder)
        lane.failures += 1
        lane.resume_at = now + pause_seconds(lane.failures)
        lane.status = status
        lane.queue.append(download_id)

    def stands(self, folder: str, status: StatusMessage) -> None:
        """The folder does not answer: no other download may start there before one has ended."""
        lane = self._lanes.setdefault(folder, Lane())
        lane.failures = max(1, lane.failures)
        lane.status = status

    def pausing(self) -> dict[str, StatusMessage]:
        """Return why folders are paused, by folder."""
        lanes = list(self._lanes.items())
        return {
            folder: lane.status for folder, lane in lanes if lane.status.reason is not Reason.NONE
        }

    def _release(self, folder: str) -> Lane:
        lane = self._lanes.setdefault(folder, Lane())
        lane.active = max(0, lane.active - 1)
        return lane
