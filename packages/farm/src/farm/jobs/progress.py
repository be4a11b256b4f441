"""How far a job is: counts of its frames, and how they change when frames move on."""

from dataclasses import dataclass

from farm.jobs.retries import FrameState


@dataclass(frozen=True, slots=True)
class Moved:
    """How the counts of a job's frames change."""

    done: int = 0
    failed: int = 0
    running: int = 0

    @classmethod
    def of(cls, before: FrameState, after: FrameState, count: int) -> "Moved":
        """Return the change of the counts when ``count`` frames go from ``before`` to ``after``."""
        done, failed, running = (
            count * ((after is state) - (before is state))
            for state in (FrameState.DONE, FrameState.FAILED, FrameState.RUNNING)
        )
        return cls(done, failed, running)

    def __add__(self, other: "Moved") -> "Moved":
        """Return the sum of both changes."""
        return Moved(
            self.done + other.done, self.failed + other.failed, self.running + other.running
        )

    def __bool__(self) -> bool:
        """Return whether any count changes."""
        return bool(self.done or self.failed or self.running)


NOTHING_MOVED = Moved()


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of a job's frames.

    Attributes:
        test_frames: how many must be done before the others may start; they are handed out first.
            0: no such condition.
    """

    total: int
    done: int
    failed: int
    running: int
    test_frames: int = 0

    @property
    def left(self) -> int:
        """Frames that are neither done nor failed."""
        return self.total - self.done - self.failed

    @property
    def testing(self) -> bool:
        """Whether the test frames are not finished yet: no other frame has been started."""
        return self.done < self.test_frames

    @property
    def test_failed(self) -> bool:
        """Whether a test frame was given up: the others are not started."""
        return self.testing and self.failed > 0

    @property
    def over(self) -> bool:
        """Whether nothing more will be done."""
        return not self.left or (self.test_failed and not self.running)

    @property
    def claimable(self) -> int:
        """Frames that may be handed out now."""
        if self.test_failed:
            return 0
        until = self.test_frames if self.testing else self.total
        return until - self.done - self.failed - self.running
