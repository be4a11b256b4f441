"""The seams where a concrete part can be exchanged. Narrow, and in domain types only."""

from collections.abc import Collection
from dataclasses import dataclass
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


class Engine(Protocol):
    """Starts and stops runners. Knows nothing of jobs, frames or results.

    Attributes:
        host: the machine on which all its runners are; "" when they are on several. Then a runner
            names its machine itself, before any scene has run there.
    """

    @property
    def host(self) -> str: ...

    def prepare(self) -> None:
        """A launch is likely soon: do now what makes it faster. Doing nothing is right too."""

    def launch(self, request: LaunchRequest) -> str:
        """Start a runner and return a reference that survives a restart of the farm.

        Raises:
            EngineError: the runner could not be started; trying again later is right.
        """

    def stop(self, reference: str) -> None:
        """Ask the runner to end, and make sure that it does. Unknown references are fine."""

    def alive(self, references: Collection[str]) -> set[str]:
        """Return those of ``references`` whose runner still lives."""

    def close(self) -> None:
        """Give up what `prepare` has made. Runners live on."""


class EngineError(Exception):
    """An engine could not start a runner. ``str()`` is a sentence for people."""
