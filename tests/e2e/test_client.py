"""The installed client library, under every Python, against a real Envoy, farm and Blender."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from every_python import VERSIONS, Pythons
from messages import says

from .conftest import EMAIL, PASSWORD, SAMPLE, Studio, a_studio

SCRIPT = Path(__file__).parent / "client_script.py"


@pytest.fixture(scope="module")
def pythons(request: pytest.FixtureRequest) -> Pythons:
    return Pythons(request.config.cache.mkdir("pythons"))


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    yield from a_studio(tmp_path_factory.mktemp("studio"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_frame_from_every_python(studio: Studio, pythons: Pythons, version: str) -> None:
    name = f"größe ☃ {version}"
    folder = shutil.copytree(SAMPLE, studio.folder / name)
    results = studio.folder / f"results {version}"
    printed = pythons.run(version, SCRIPT, studio.url, EMAIL, PASSWORD, str(folder), str(results))
    report = json.loads(printed.decode())
    assert [path.name for path in results.iterdir()] == ["frame_0003.png"]
    assert report["valid"] == [True, True]
    assert report["user"] == EMAIL
    assert "blender" in report["types"]
    assert True in report["machines"]
    assert report["submitted"] == name
    assert report["seen"][-1] == "completed"
    assert report["last"] == ["completed", "", 1, 1]
    assert report["status"] == "Submitted"
    assert report["job"] == ["jöb", "completed", "render"]
    ((path, state),) = report["result"]
    assert path.startswith(f"/{name}/render_results/")
    assert (path.rpartition("/")[2], state) == ("frame_0003.png", "downloaded")
    assert "frame_0003.png" in report["log"]
    errors = report["errors"]
    assert says(errors["finished"], "job-state-forbids-action", "jöb")
    assert says(errors["password"], "email-password-access-key-wrong")
    assert "verschwunden ☃.blend" in errors["scene"]
    assert "5 ☃" in errors["frames"]
