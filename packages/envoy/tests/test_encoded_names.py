"""Scenes that encode the accents in the names of their files differently than the disk does."""

import json
import unicodedata
from pathlib import Path

import pytest
from blenders import installed
from envoy_gathering import scene_body, sent, submit
from envoy_studio import Studio
from farm_protocol.path_maps import path_map_of, short_hash
from messages import saying

SCRIPT = Path(__file__).with_name("make_encoded.py")


@pytest.fixture(scope="module")
def artist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed().made_by(SCRIPT, tmp_path_factory.mktemp("artist").resolve())


async def test_names_that_read_the_same_are_one(studio: Studio, artist: Path) -> None:
    await submit(studio, artist, "scene.blend")
    elsewhere = f"demo/_gathered/{short_hash(str(artist / 'library'))}"
    its_map = path_map_of("demo/scene.blend")
    assert sent(studio).keys() == {
        *("demo/scene.blend", its_map, "demo/Möbel/wood.png"),
        *("demo/tiles/Fußböden.1001.png", "demo/tiles/Fußböden.1002.png"),
        *(f"{elsewhere}/naïve_{number:04}.png" for number in (1, 2, 3)),
        *(f"{elsewhere}/Noël.blend", f"{elsewhere}/été.png"),
    }
    rules = json.loads(sent(studio)[its_map])["rules"]
    places = {each["source_path"]: each["destination_path"] for each in rules}
    film = artist / "desk" / "film"
    named = unicodedata.normalize("NFD", f"{film}/Möbel")
    assert places[named] == "demo/Möbel"


async def test_of_two_such_names_neither_is_taken(studio: Studio, artist: Path) -> None:
    body = scene_body(studio, artist, "double.blend")
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 400, answer.text
    named = unicodedata.normalize("NFD", str(artist / "desk/film/double/äö.png"))
    assert answer.json()["errors"] == {
        "jobs[0].path": [saying("no-such-file-here", named), saying("frames-need-these-files")]
    }
