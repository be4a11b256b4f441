"""Fixtures: a real Envoy over real HTTP, and a strict fake farm."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

import envoy.farm.answers
import envoy.farm.calls
import envoy.farm.client
import envoy.watch.follow
from envoy_fake_farm import FakeFarm
from envoy_machine import Machine
from envoy_start import Start
from envoy_studio import Studio


@pytest.fixture(scope="session")
def farm_server() -> Iterator[FakeFarm]:
    with FakeFarm().serving() as running_farm:
        yield running_farm


@pytest.fixture
def farm(farm_server: FakeFarm) -> Iterator[FakeFarm]:
    """A farm that knows nothing yet."""
    farm_server.reset()
    yield farm_server
    farm_server.released.set()


@pytest.fixture
async def start(tmp_path: Path, farm: FakeFarm) -> AsyncIterator[Start]:
    """Start Envoys in this process, on one data folder."""
    made = Start(tmp_path, farm)
    yield made
    await made.stop()


@pytest.fixture
async def machine(tmp_path: Path, farm: FakeFarm) -> AsyncIterator[Machine]:
    """An Envoy in a process of its own, which can be killed and started again."""
    made = Machine(tmp_path, farm)
    await made.start()
    yield made
    await made.end()


@pytest.fixture
async def studio(start: Start) -> Studio:
    """An Envoy at which the artist is signed in."""
    made = await start()
    await made.sign_in()
    return made


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits of a moment, in which a busy machine still gives a whole answer."""
    for module in (envoy.farm.answers, envoy.farm.client):
        monkeypatch.setattr(module, "STILL_SECONDS", 1.5)
    for module in (envoy.farm.calls, envoy.farm.client):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 3.0)
    monkeypatch.setattr(envoy.watch.follow, "WAIT_SECONDS", 0.1)
