"""Files that scenes name and nobody has added: what is sent of them, and what is told. Real scenes.

What becomes of them on the farm, `tests/e2e/test_gathering.py` tells.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from blenders import installed
from envoy.gather import gatherer
from envoy.gather.tracer import Tracer
from envoy_gathering import scene_body, sent, submit
from envoy_start import Start
from envoy_studio import Studio, until
from farm_protocol.path_maps import path_map_of, short_hash
from messages import saying, says

FROM_THE_FARM = "From the check."
SCRIPT = Path(__file__).with_name("make_artist.py")


@pytest.fixture(scope="module")
def artist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an artist, made by Blender once."""
    return installed().made_by(SCRIPT, tmp_path_factory.mktemp("artist").resolve())


def place(artist: Path, folder: str) -> str:
    return f"demo/_gathered/{short_hash(str(artist / folder))}"


async def test_all_that_a_scene_names_goes_with_it(studio: Studio, artist: Path) -> None:
    answer = await submit(studio, artist, "scene.blend")
    textures, libs = place(artist, "textures"), place(artist, "libs")
    assert sent(studio).keys() == {
        *("demo/scene.blend", path_map_of("demo/scene.blend")),
        *("demo/maps/inside.png", "demo/maps/named.png", "demo/maps/Foreign.png"),
        *(f"{textures}/wood.png", f"{textures}/near.png", f"{textures}/hum.wav"),
        *(f"{textures}/tiles/t.1001.png", f"{textures}/tiles/t.1002.png"),
        *(f"{textures}/film/f_01.png", f"{textures}/film/f_02.png"),
        *(f"{place(artist, 'desk/shared')}/mid.blend", f"{libs}/deep.blend"),
        f"{libs}/sub/beside.png",
    }
    # The farm is told of them before anything is sent, and the artist what has left the machine.
    (check,) = studio.farm.checks
    assert set(check.pending_files) == sent(studio).keys()
    assert any(says(each, "sent-from-outside") for each in answer["warnings"])


async def uploaded(studio: Studio, artist: Path, **changes: Any) -> list[str]:
    """Upload what a submission of two scenes would send, and return the warnings about it."""
    groups = scene_body(studio, artist, "scene.blend")["project_files"]
    groups["files"] = ["scene.blend", "reserved.blend"]
    answer = await studio.http.post("/upload", json={"upload": [groups], **changes})
    assert answer.status_code == 200, answer.text

    async def done() -> dict[str, Any] | None:
        status: dict[str, Any] = (await studio.http.get("/project-status/demo")).json()
        return status if status["State"] == "Completed" else None

    warnings: list[str] = (await until(done))["Warnings"]
    return warnings


async def test_an_upload_sends_what_a_submission_would(studio: Studio, artist: Path) -> None:
    await submit(studio, artist, "scene.blend")
    await submit(studio, artist, "reserved.blend")
    expected = sent(studio)
    studio.farm.manifests.clear()
    warnings = await uploaded(studio, artist)
    assert sent(studio) == expected
    assert any(says(each, "sent-from-outside") for each in warnings)
    # A submission without upload finds it all.
    studio.farm.faults = []
    entry = await studio.submit(skip_upload=True)
    await studio.until_state(entry, "submitted")
    assert path_map_of("demo/scene.blend") in studio.farm.snapshots[entry]


async def test_an_upload_can_do_without(
    studio: Studio, artist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await uploaded(studio, artist, gather_files=False)
    assert not any("_gathered" in path for path in sent(studio))
    monkeypatch.setattr("envoy.submissions.projects.MOST_SCENES", 1)
    warnings = await uploaded(studio, artist)
    assert any(says(each, "first-scenes-only", 1, 2) for each in warnings)


@pytest.mark.parametrize(
    ("limit", "most"), [("MOST_BLENDS", 1), ("MOST_NAMED", 2), ("_MOST_SECONDS", 0.0)]
)
async def test_what_is_read_has_a_limit(
    studio: Studio, artist: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: float
) -> None:
    monkeypatch.setattr(gatherer, limit, most)
    answer = await submit(studio, artist, "scene.blend")
    # Of a library, at most that it is one.
    assert f"{place(artist, 'libs')}/deep.blend" not in sent(studio)
    assert any(says(each, "looked-into-first-libraries") for each in answer["warnings"])


async def test_a_library_that_the_farm_takes_under_no_name_is_told(
    studio: Studio, artist: Path
) -> None:
    answer = await submit(studio, artist, "reserved.blend")
    assert f"{place(artist, 'textures')}/wood.png" in sent(studio)
    assert any(says(each, "not-gathered") for each in answer["warnings"])
    assert any(says(each, "not-sent-because") for each in answer["warnings"])
    assert not any("con.blend" in path for path in sent(studio))


async def test_a_library_that_vanishes_before_it_is_read_is_told(
    studio: Studio, artist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, kept = artist / "desk/shared/mid.blend", tmp_path / "mid.blend"
    shutil.copy2(library, kept)
    trace = Tracer.trace

    def traced(self: Tracer, blends: Sequence[str]) -> object:
        if str(library) in blends:
            library.unlink(missing_ok=True)
        return trace(self, blends)

    monkeypatch.setattr(Tracer, "trace", traced)
    body = scene_body(studio, artist, "scene.blend")
    try:
        answer = await studio.http.post("/project-submit", json=body)
    finally:
        shutil.copy2(kept, library)
    assert answer.status_code == 201, answer.text
    told = saying("blend-was-not-read", library)
    assert any(each == told for each in answer.json()["warnings"])


async def test_what_lies_at_its_place_needs_no_map(studio: Studio, artist: Path) -> None:
    answer = await submit(studio, artist, "plain.blend")
    assert sent(studio).keys() == {"demo/plain.blend", "demo/maps/named.png"}
    assert answer["warnings"] == [FROM_THE_FARM]


async def test_simulations_beside_a_scene_are_its_artists_to_add(
    studio: Studio, artist: Path
) -> None:
    answer = await submit(studio, artist, "cloth.blend")
    assert sent(studio).keys() == {"demo/cloth.blend"}
    assert answer["warnings"] == [FROM_THE_FARM]


async def test_a_scene_gets_no_private_file(studio: Studio, artist: Path) -> None:
    answer = await submit(studio, artist, "hostile.blend")
    names = {path for path in sent(studio) if "_gathered" in path}
    assert names == {
        f"{place(artist, 'textures')}/wood.png",
        path_map_of("demo/hostile.blend"),
    }
    assert not any(b"PRIVATE" in data for data in sent(studio).values())
    assert len(answer["warnings"]) > 10


@pytest.fixture
def exchange(artist: Path) -> Iterator[Callable[[], None]]:
    """Put a link to a private file in the place of a texture, as others may who may write there."""
    wood, kept = artist / "textures" / "wood.png", artist / "textures" / "kept.png"
    wood.rename(kept)
    wood.symlink_to("kept.png")
    (artist / "textures" / "letter").write_text("PRIVATE")

    def now() -> None:
        (artist / "textures" / "new").symlink_to("letter")
        (artist / "textures" / "new").replace(wood)

    yield now
    kept.replace(wood)
    (artist / "textures" / "letter").unlink()


async def test_what_was_looked_at_is_sent_whatever_a_link_says_later(
    studio: Studio, artist: Path, exchange: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = 0
    trace = Tracer.trace

    def traced(self: Tracer, blends: Sequence[str]) -> object:
        nonlocal rounds
        rounds += 1
        if rounds == 2:  # The scene was read, and its libraries are.
            exchange()
        return trace(self, blends)

    monkeypatch.setattr(Tracer, "trace", traced)
    await submit(studio, artist, "scene.blend")
    assert (artist / "textures" / "wood.png").readlink() == Path("letter")
    kept = (artist / "textures" / "kept.png").read_bytes()
    assert sent(studio)[f"{place(artist, 'textures')}/wood.png"] == kept


async def test_no_link_in_the_place_of_a_gathered_file_is_followed(
    studio: Studio, artist: Path, exchange: Callable[[], None]
) -> None:
    wood, kept = artist / "textures" / "wood.png", artist / "textures" / "kept.png"
    kept.replace(wood)
    studio.farm.on_check = exchange
    shutil.copyfile(wood, kept)
    body = scene_body(studio, artist, "scene.blend")
    told = (await studio.http.post("/project-submit", json=body)).json()
    await studio.until_state(told["submission_id"], "failed")
    assert b"PRIVATE" not in studio.farm.blobs.values()


async def test_what_is_nowhere_is_told_at_once(studio: Studio, artist: Path) -> None:
    answer = await submit(studio, artist, "lacking.blend")
    assert sent(studio).keys() == {"demo/lacking.blend"}
    assert answer["warnings"] == [
        saying("not-on-this-machine", artist / "gone" / "away.png"),
        saying("not-on-this-machine", "Y:\\nowhere\\else.png"),
        saying("no-such-file-here", artist / "desk/film/maps/lost.png"),
        FROM_THE_FARM,
    ]


async def refused(studio: Studio, artist: Path, scene: str, **params: Any) -> list[str]:
    """Return why a job is refused; [] when it is accepted."""
    body = scene_body(studio, artist, scene)
    body["project_request"]["jobs"][0]["params"] |= params
    answer = await studio.http.post("/project-submit", json=body)
    if answer.status_code == 201:
        await studio.until_state(answer.json()["submission_id"], "submitted")
        return []
    assert answer.status_code == 400, answer.text
    errors: dict[str, list[str]] = answer.json()["errors"]
    assert errors.keys() == {"jobs[0].path"}
    return errors["jobs[0].path"]


async def test_what_pixels_need_for_certain_is_refused_before_anything_is_sent(
    studio: Studio, artist: Path
) -> None:
    told = await refused(studio, artist, "needful.blend")
    assert told == [
        saying("not-on-this-machine", artist / "gone" / "sky.png"),
        saying("frames-need-these-files"),
    ]
    assert not studio.farm.manifests
    assert not studio.farm.checks


async def test_who_knows_better_submits_without_it(studio: Studio, artist: Path) -> None:
    assert await refused(studio, artist, "needful.blend", missing_files="warn") == []


async def test_what_the_farm_has_already_is_not_missing(studio: Studio, artist: Path) -> None:
    assert await refused(studio, artist, "beside.blend") != []
    studio.write("sky/day.png")
    group = {"localRoot": str(studio.project), "remoteRoot": "/demo", "files": ["sky/day.png"]}
    answer = await studio.http.post("/upload", json={"upload": [group]})
    assert answer.status_code == 200, answer.text
    assert await refused(studio, artist, "beside.blend") == []


async def test_a_submission_may_do_without(studio: Studio, artist: Path) -> None:
    await submit(studio, artist, "scene.blend", gather_files=False)
    assert sent(studio).keys() == {"demo/scene.blend"}


async def test_only_where_asked_or_never(start: Start, artist: Path) -> None:
    for mode, wanted, count in (("asked", None, 1), ("asked", True, 15), ("off", True, 1)):
        studio = await start(gather=mode)
        await studio.sign_in()
        studio.farm.manifests.clear()
        await submit(studio, artist, "scene.blend", gather_files=wanted)
        assert len(sent(studio)) == count, mode
        await start.stop()


async def test_only_from_allowed_folders(start: Start, artist: Path) -> None:
    studio = await start(gather_folders=[artist / "libs", artist / "textures" / "film"])
    await studio.sign_in()
    await submit(studio, artist, "scene.blend")
    assert {path.rpartition("/")[2] for path in sent(studio) if "_gathered" in path} == {
        *("f_01.png", "f_02.png", path_map_of("demo/scene.blend").rpartition("/")[2]),
    }


async def test_a_path_inside_the_project_is_mapped_whoever_added_its_file(
    studio: Studio, artist: Path
) -> None:
    film = artist / "desk" / "film"
    group = {"localRoot": str(film), "remoteRoot": "/demo/all", "files": None}
    body = studio.body(project_files=group)
    body["project_request"]["params"]["local_root"] = str(film)
    body["project_request"]["jobs"][0]["path"] = "demo/all/scene.blend"
    body["gather_files"] = False
    answer = await studio.http.post("/project-submit", json=body)
    await studio.until_state(answer.json()["submission_id"], "submitted")
    told = json.loads(sent(studio)[path_map_of("demo/all/scene.blend")])["rules"]
    places = {each["source_path"]: each["destination_path"] for each in told}
    assert places[str(film / "maps")] == "demo/all/maps"
    assert places["X:\\Jobs\\film\\Maps\\foreign.png"] == "demo/all/maps/Foreign.png"
    formats = {each["source_path_format"] for each in told if each["source_path"][0] == "X"}
    assert formats == {"WINDOWS"}
