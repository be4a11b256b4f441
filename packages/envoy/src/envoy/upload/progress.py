"""Upload progress of one entry's files. Kept in memory: after a restart it is measured again."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from envoy.journal import UploadFile

WINDOW_SECONDS = 3.0
STEP_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class FileProgress:
    """Progress of a file, in bytes. ``speed``: bytes per second."""

    done: int
    total: int
    speed: float
    complete: bool


class Meter:
    """Bytes per second over the last few seconds."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        """Count bytes that were just sent."""
        now = time.monotonic()
        if self._steps and now - self._steps[-1][0] < STEP_SECONDS:
            began, already = self._steps.pop()
            self._steps.append((began, already + count))
        else:
            self._steps.append((now, count))
        self._forget(now)

    @property
    def rate(self) -> float:
        """Bytes per second; 0.0 when nothing was sent recently."""
        now = time.monotonic()
        # A copy, from which nothing is removed: other threads read it.
        steps = [step for step in list(self._steps) if now - step[0] <= WINDOW_SECONDS]
        if not steps:
            return 0.0
        span = max(now - steps[0][0], STEP_SECONDS)
        return sum(count for _, count in steps) / span

    def _forget(self, now: float) -> None:
        while self._steps and now - self._steps[0][0] > WINDOW_SECONDS:
            self._steps.popleft()


class Progress:
    """Bytes sent of each file of an entry. A file that the farm has already counts as sent."""

    def __init__(self, files: Iterable[UploadFile]) -> None:
        self._sizes = {file.remote: file.size for file in files}
        self._partial: dict[str, int] = {}
        self._meters: dict[str, Meter] = {}
        self._complete: set[str] = set()
        self._bytes_complete = 0
        self._meter = Meter()

    @property
    def bytes_total(self) -> int:
        """Size of all files."""
        return sum(self._sizes.values())

    @property
    def bytes_done(self) -> int:
        """Bytes that the farm has, or that are on their way."""
        return self._bytes_complete + sum(list(self._partial.values()))

    @property
    def speed(self) -> float:
        """Bytes per second, over all files."""
        return self._meter.rate

    def resize(self, remote: str, size: int) -> None:
        """Correct the size of a file that changed since it was scanned."""
        self._sizes[remote] = size

    def restart(self, remote: str) -> None:
        """Start, or restart, sending a file."""
        self._partial[remote] = 0
        self._meters[remote] = Meter()

    def sent(self, remote: str, count: int) -> None:
        """Count bytes of a file."""
        self._partial[remote] = self._partial.get(remote, 0) + count
        self._meters.setdefault(remote, Meter()).add(count)
        self._meter.add(count)

    def complete(self, remote: str) -> None:
        """Note that the farm has this file."""
        self._partial.pop(remote, None)
        self._meters.pop(remote, None)
        if remote not in self._complete:
            self._complete.add(remote)
            self._bytes_complete += self._sizes[remote]

    def of(self, remote: str) -> FileProgress:
        """Return the progress of one file."""
        size = self._sizes.get(remote, 0)
        if remote in self._complete:
            return FileProgress(size, size, 0.0, complete=True)
        meter = self._meters.get(remote)
        speed = meter.rate if meter else 0.0
        return FileProgress(self._partial.get(remote, 0), size, speed, complete=False)
