"""Caches that scenes name by their folder, and what a stranger's scene gets of it. Real scenes."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from blenders import installed
from envoy.gather import disk
from envoy_gathering import sent, submit
from envoy_studio import Studio
from farm_protocol.path_maps import path_map_of
from messages import says

SCRIPT = Path(__file__).with_name("make_caches.py")


@pytest.fixture(scope="module")
def artist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an artist who simulates, made by Blender once."""
    return installed().made_by(SCRIPT, tmp_path_factory.mktemp("artist").resolve())


def below(studio: Studio) -> set[str]:
    """Return the paths of all gathered files, without the folder of each."""
    return {path.split("/", 3)[3] for path in sent(studio) if path.count("/") > 2}


async def test_caches_go_with_all_that_blender_has_written(studio: Studio, artist: Path) -> None:
    answer = await submit(studio, artist, "simulated.blend")
    files = (artist / "sims").rglob("*")
    assert below(studio) == {
        each.relative_to(artist / "sims").as_posix() for each in files if each.is_file()
    }
    assert not [each for each in answer["warnings"] if says(each, "not-sent-because")]


async def test_the_folder_of_a_cache_is_one_folder_on_the_farm(
    studio: Studio, artist: Path
) -> None:
    await submit(studio, artist, "lone.blend")
    files = sent(studio)
    told = json.loads(files[path_map_of("demo/lone.blend")])["rules"]
    places = {each["source_path"]: each["destination_path"] for each in told}
    folder = places[str(artist / "lone")]
    assert {f"{folder}/config/config_0001.uni", f"{folder}/mesh/fluid_mesh_0002.obj"} <= set(files)


async def test_a_folder_that_is_named_as_a_cache_gives_nothing_else(
    studio: Studio, artist: Path
) -> None:
    await submit(studio, artist, "sweeping.blend")
    assert below(studio) == {"data/real_0001.vdb"}


async def test_no_folder_or_pattern_is_a_picture(studio: Studio, artist: Path) -> None:
    await submit(studio, artist, "folders.blend")
    assert below(studio) == set()


async def test_nothing_is_taken_for_what_only_its_name_says(studio: Studio, artist: Path) -> None:
    await submit(studio, artist, "naming.blend")
    assert below(studio) == set()


async def test_each_folder_is_read_once_and_each_file_is_opened_once(
    studio: Studio, artist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: Counter[str] = Counter()
    scandir, open_ = os.scandir, os.open

    def counted_scandir(path: str) -> object:
        looks[str(path)] += 1
        return scandir(path)

    def counted_open(path: str, *args: object, **kwargs: object) -> int:
        looks[str(path)] += 1
        return open_(path, *args, **kwargs)  # type: ignore[arg-type]

    # Before the upload, which reads files for itself.
    studio.farm.on_check = monkeypatch.undo
    monkeypatch.setattr(os, "scandir", counted_scandir)
    monkeypatch.setattr(os, "open", counted_open)
    await submit(studio, artist, "again.blend")
    assert below(studio) == {f"f_{number:04d}.png" for number in range(200)}
    seen = {path: count for path, count in looks.items() if path.startswith(str(artist / "many"))}
    assert len(seen) == 201
    assert set(seen.values()) == {1}


async def test_what_takes_too_many_looks_is_left_out_and_told(
    studio: Studio, artist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "MOST_STEPS", 4_000)
    answer = await submit(studio, artist, "again.blend")
    assert any(says(each, "envoy-did-not-look-all") for each in answer["warnings"])
    assert "demo/again.blend" in sent(studio)
