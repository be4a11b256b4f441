"""What the tests of the client talk to, and what they submit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from envoy_stand_in import StandIn
from gridmarkets import EnvoyClient


@pytest.fixture
def envoy() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()
    assert stand_in.problems == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project folder with a scene, two assets and a neighbour whose name begins the same."""
    root = tmp_path / "sample project"
    (root / "assets" / "deep").mkdir(parents=True)
    (root / "scene.blend").write_text("scene")
    (root / "assets" / "wood.png").write_text("wood")
    (root / "assets" / "deep" / "größe.png").write_text("stone")
    (tmp_path / "sample project2").mkdir()
    (tmp_path / "sample project2" / "secret.txt").write_text("secret")
    return root


@pytest.fixture
def client(envoy: StandIn) -> EnvoyClient:
    return EnvoyClient(url=envoy.url)
