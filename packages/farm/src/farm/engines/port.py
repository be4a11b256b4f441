"""What starts and stops runners: the seam behind which a queue or a cluster can stand.

Narrow, and in domain types only. `packages/farm/tests/engines/contract.py` is what every engine
passes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

RUNNER_STOP_SECONDS = 10.0
"""How long a runner that was asked to end may take to kill its renderer and say goodbye."""


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What an engine needs to start one runner.

    Attributes:
        token: the runner's secret. It travels on the runner's standard input; where an engine
            cannot write to that, in the environment (`farm_protocol.runner.TOKEN_VARIABLE`); never
            in arguments, which any user of the machine can read.
        farm_url: where the runner reports to.
    """

    runner_id: str
    job_id: str
    machine_type: str
    farm_url: str
    token: str


class Phase(StrEnum):
    """Where a runner is in its life."""

    QUEUED = "queued"
    """It waits for a machine."""
    RUNNING = "running"
    GONE = "gone"
    """It has ended, or nobody knows of it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What an engine sees of a runner.

    Attributes:
        reason: why it waits, as a message for people; "" when it does not, or nobody says.
    """

    phase: Phase
    reason: str = ""


class Engine(Protocol):
    """Starts and stops runners. Knows nothing of jobs, frames or results.

    Attributes:
        host: the machine on which all its runners are; "" when they are on several. Then a runner
            names its machine itself, before any scene has run there.
        outlives_farm: its runners go on when the farm ends, and report to its successor; else the
            farm stops them before it ends.
        certain: what `look` tells is so. Else it is hearsay, as a queue's listing is: a runner
            that was heard of lately is not believed to be gone.
    """

    @property
    def host(self) -> str: ...

    @property
    def outlives_farm(self) -> bool: ...

    @property
    def certain(self) -> bool: ...

    def prepare(self) -> None:
        """A launch is likely soon: do now what makes it faster. Doing nothing is right too."""

    def launch(self, requests: Sequence[LaunchRequest]) -> "list[str | EngineError]":
        """Start runners, all at once where that is cheaper.

        Returns:
            for each request, in its order, a reference that survives a restart of the farm; or
            why this runner could not be started: trying again later is right.
        """

    def look(self, references: Collection[str]) -> Mapping[str, Sight]:
        """Return how each of these runners stands; unknown references are gone.

        Raises:
            EngineError: nothing can be told now.
        """

    def stop(self, reference: str) -> None:
        """Ask the runner to end, and make sure that it does. Unknown references are fine."""

    def close(self) -> None:
        """Give up what `prepare` has made. Runners live on."""


class EngineError(Exception):
    """An engine could not start a runner, or tell of some. ``str()`` is a message for people."""
