"""What every engine does, whatever starts its runners. A suite for each derives from this one.

Runners are real ones: they call a `FakeFarm`, which shows what the engine gave them.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from farm.engines.port import Engine, EngineError, LaunchRequest, Phase

from .conftest import FakeFarm

UNKNOWN = ["1:0.0", "999999:1.0", "no reference at all", ""]


def requests(fake_farm: FakeFarm, *tokens: str) -> list[LaunchRequest]:
    """Return a request for each token."""
    return [
        LaunchRequest(f"runner-{token}", "job", "local-cpu", fake_farm.url, token)
        for token in tokens
    ]


class EngineContract:
    """Derive from it, and say in `make` what the engine is."""

    def make(self, folder: Path, on_exit: Callable[[], None]) -> Engine:
        """Return an engine that keeps what it must remember below a folder."""
        raise NotImplementedError

    def let_in(self, engine: Engine) -> None:
        """Let all runners start that wait for a machine; an engine that never queues has none."""

    def breaks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every launch fail from now on."""
        raise NotImplementedError

    @pytest.fixture
    def ended(self) -> threading.Semaphore:
        """Released whenever the engine says that a runner may have ended."""
        return threading.Semaphore(0)

    @pytest.fixture
    def engine(
        self, tmp_path: Path, ended: threading.Semaphore, fake_farm: FakeFarm
    ) -> Iterator[Engine]:
        engine = self.make(tmp_path, ended.release)
        yield engine
        fake_farm.open.set()
        engine.close()

    def start(self, engine: Engine, fake_farm: FakeFarm, *tokens: str) -> list[str]:
        """Launch runners and wait until each has knocked; return their references."""
        launched = engine.launch(requests(fake_farm, *tokens))
        references = [each for each in launched if isinstance(each, str)]
        assert len(references) == len(tokens), launched
        self.let_in(engine)
        for _ in tokens:
            assert fake_farm.knocked.acquire(timeout=60)
        return references

    def phases(self, engine: Engine, references: Sequence[str]) -> list[Phase]:
        sights = engine.look(references)
        assert set(sights) == set(references)
        return [sights[each].phase for each in references]

    def test_runners_from_launch_to_end(
        self, engine: Engine, fake_farm: FakeFarm, ended: threading.Semaphore
    ) -> None:
        references = self.start(engine, fake_farm, "one", "two")

        assert len(set(references)) == 2
        assert sorted(fake_farm.tokens) == ["one", "two"]
        assert self.phases(engine, references) == [Phase.RUNNING, Phase.RUNNING]

        fake_farm.open.set()
        for _ in references:
            assert ended.acquire(timeout=60)
        assert self.phases(engine, references) == [Phase.GONE, Phase.GONE]

    def test_nothing_is_launched_and_nothing_looked_at(self, engine: Engine) -> None:
        assert engine.launch([]) == []
        assert engine.look([]) == {}

    def test_what_nobody_knows_is_gone_and_may_be_stopped(self, engine: Engine) -> None:
        assert self.phases(engine, UNKNOWN) == [Phase.GONE] * len(UNKNOWN)
        for each in UNKNOWN:
            engine.stop(each)

    def test_one_is_stopped_and_the_other_goes_on(
        self, engine: Engine, fake_farm: FakeFarm, ended: threading.Semaphore
    ) -> None:
        first, second = self.start(engine, fake_farm, "one", "two")

        engine.stop(first)
        engine.stop(first)

        assert ended.acquire(timeout=60)
        assert self.phases(engine, [first, second]) == [Phase.GONE, Phase.RUNNING]

    def test_a_token_can_be_seen_by_nobody(self, engine: Engine, fake_farm: FakeFarm) -> None:
        before = set(psutil.pids())
        self.start(engine, fake_farm, "a-secret-of-this-runner")

        for process in (psutil.Process(pid) for pid in set(psutil.pids()) - before):
            try:
                shown = [*process.cmdline(), *process.environ().values()]
            except psutil.Error:
                continue
            assert not any("a-secret-of-this-runner" in each for each in shown)

    def test_nothing_is_imported_from_where_the_farm_was_started(
        self, engine: Engine, fake_farm: FakeFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project = tmp_path / "downloaded project"
        project.mkdir()
        for name in ("farm.py", "json.py", "openjd.py", "httpx.py"):
            (project / name).write_text(f"open({str(tmp_path / 'was run')!r}, 'w')")
        monkeypatch.chdir(project)

        self.start(engine, fake_farm, "one")

        assert not (tmp_path / "was run").exists()

    def test_references_mean_the_same_after_a_restart_of_the_farm(
        self, engine: Engine, fake_farm: FakeFarm, tmp_path: Path
    ) -> None:
        references = self.start(engine, fake_farm, "one")
        engine.close()

        successor = self.make(tmp_path, lambda: None)

        assert self.phases(successor, references) == [Phase.RUNNING]
        successor.close()

    def test_what_cannot_be_started_is_said_at_its_place(
        self, engine: Engine, fake_farm: FakeFarm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.breaks(monkeypatch)

        launched = engine.launch(requests(fake_farm, "one", "two"))

        assert [type(each) for each in launched] == [EngineError, EngineError]
        assert all(str(each) for each in launched)

    def test_getting_ready_and_giving_that_up_again_and_again(
        self, engine: Engine, fake_farm: FakeFarm
    ) -> None:
        for _ in range(2):
            engine.prepare()
            engine.prepare()
            engine.close()
            engine.close()
        engine.prepare()
        self.start(engine, fake_farm, "one")
