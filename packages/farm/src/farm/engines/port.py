"""The port through which runners are started and stopped: on this machine, a queue or a cluster.

It is narrow, and uses domain types only. Every engine passes
`packages/farm/tests/engines/contract.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

RUNNER_STOP_SECONDS = 10.0
"""How long a runner that was asked to end may take to kill its renderer and report."""


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What an engine needs to start one runner.

    Attributes:
        token: the runner's secret. It travels on the runner's standard input; where an engine
            cannot write to that, in the environment (`farm_protocol.runner.TOKEN_VARIABLE`); never
            in arguments, which any user of the machine can read.
        farm_url: the address to which the runner reports.
    """

    runner_id: str
    job_id: str
    machine_type: str
    farm_url: str
    token: str


class Phase(StrEnum):
    """A phase in a runner's life."""

    QUEUED = "queued"
    """It waits for a machine."""
    RUNNING = "running"
    GONE = "gone"
    """It has ended, or is unknown."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What an engine sees of a runner.

    Attributes:
        reason: why it waits, as a message for people; "" when it does not, or the reason is
            unknown.
    """

    phase: Phase
    reason: str = ""


class Engine(Protocol):
    """Starts and stops runners. Knows nothing about jobs, frames or results.

    Attributes:
        host: the machine on which all its runners are; "" when they are on several. Then a runner
            names its machine itself, before any scene has run there.
        outlives_farm: its runners continue when the farm ends, and report to its successor;
            otherwise the farm stops them before it ends.
        certain: the answers of `look` are certain. Otherwise they are hearsay, like a queue's
            listing: a runner that reported recently is not believed to be gone.
    """

    @property
    def host(self) -> str: ...

    @property
    def outlives_farm(self) -> bool: ...

    @property
    def certain(self) -> bool: ...

    def prepare(self) -> None:
        """A launch is likely soon: do now what makes it faster. Doing nothing is fine."""

    def launch(self, requests: Sequence[LaunchRequest]) -> "list[str | EngineError]":
        """Start runners, all at once where that is cheaper.

        Returns:
            for each request, in its order, a reference that survives a restart of the farm; or
            why this runner could not be started, so that the farm retries later.
        """

    def look(self, references: Collection[str]) -> Mapping[str, Sight]:
        """Return the state of each of these runners; unknown references are gone.

        Raises:
            EngineError: the state is unknown now.
        """

    def stop(self, reference: str) -> None:
        """Ask the runner to end, and make sure that it does. Unknown references are ignored."""

    def close(self) -> None:
        """Release what `prepare` has made. Runners continue."""


class EngineError(Exception):
    """An engine could not start a runner, or report on some. ``str()`` is a message for people."""
