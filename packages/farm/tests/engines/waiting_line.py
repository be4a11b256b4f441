"""A queue in front of the local engine: runners wait in it until they are let in.

For tests of what a cluster's queue does to the farm. It keeps its waiting runners in files, so that
they outlive the farm, as a queue does.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from farm.engines.local import LocalEngine
from farm.engines.port import EngineError, LaunchRequest, Phase, Sight

BUSY = "All machines of the queue are busy."


class WaitingLine:
    """See `farm.engines.port.Engine`. A reference is the name of a file."""

    host = ""
    outlives_farm = True
    certain = False

    def __init__(self, folder: Path, on_exit: Callable[[], None]) -> None:
        self._folder = folder / "line"
        self._folder.mkdir(exist_ok=True)
        self._machines = LocalEngine(folder / "work", folder / "logs", {}, on_exit)

    def prepare(self) -> None:
        """Nothing to prepare: who waits needs no hurry."""

    def launch(self, requests: Sequence[LaunchRequest]) -> list[str | EngineError]:
        return [self._line_up(request) for request in requests]

    def _line_up(self, request: LaunchRequest) -> str | EngineError:
        try:
            file = self._folder / request.runner_id
            file.touch(mode=0o600)
            file.write_text(json.dumps({"waits": asdict(request)}))
        except OSError as error:
            return EngineError(f"The queue takes nothing: {error}.")
        return request.runner_id

    def let_in(self) -> None:
        """Start all that wait."""
        for file in self._folder.iterdir():
            content = json.loads(file.read_text())
            if "waits" in content:
                (started,) = self._machines.launch([LaunchRequest(**content["waits"])])
                assert isinstance(started, str), started
                file.write_text(json.dumps({"runs": started}))

    def look(self, references: Collection[str]) -> dict[str, Sight]:
        return {each: self._sight(each) for each in references}

    def _sight(self, reference: str) -> Sight:
        content = self._content(reference)
        if "waits" in content:
            return Sight(Phase.QUEUED, BUSY)
        runs = content.get("runs", "")
        return self._machines.look([runs])[runs]

    def stop(self, reference: str) -> None:
        content = self._content(reference)
        if "runs" in content:
            self._machines.stop(content["runs"])
        elif content:
            (self._folder / reference).unlink(missing_ok=True)

    def close(self) -> None:
        self._machines.close()

    def _content(self, reference: str) -> dict[str, str]:
        names = {file.name for file in self._folder.iterdir()}
        if reference not in names:
            return {}
        content: dict[str, str] = json.loads((self._folder / reference).read_text())
        return content
