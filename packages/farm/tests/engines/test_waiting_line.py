"""A queue with delays passes the contract, too; and what is of a queue alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from farm.engines.port import Engine, Phase, Sight

from .conftest import FakeFarm
from .contract import EngineContract, requests
from .waiting_line import BUSY, WaitingLine


class TestWaitingLine(EngineContract):
    def make(self, folder: Path, on_exit: Callable[[], None]) -> Engine:
        return WaitingLine(folder, on_exit)

    def let_in(self, engine: Engine) -> None:
        assert isinstance(engine, WaitingLine)
        engine.let_in()

    def breaks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError("no room")

        monkeypatch.setattr(Path, "touch", full)

    def test_who_waits_says_why_and_can_be_stopped(
        self, engine: Engine, fake_farm: FakeFarm
    ) -> None:
        first, second = engine.launch(requests(fake_farm, "one", "two"))
        assert isinstance(first, str)
        assert isinstance(second, str)
        assert engine.look([first]) == {first: Sight(Phase.QUEUED, BUSY)}

        engine.stop(first)

        assert self.phases(engine, [first, second]) == [Phase.GONE, Phase.QUEUED]
        self.let_in(engine)
        assert fake_farm.knocked.acquire(timeout=60)
        assert fake_farm.tokens == ["two"]
