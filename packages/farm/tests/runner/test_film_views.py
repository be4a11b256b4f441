"""Films of OpenEXR images, as Blender shows their scene: compared with the pictures it saves."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from blenders import Blender
from farm.confine import probe
from farm.products.shared.farm_exr import add_text
from farm.renderers import Discovery, Renderer
from farm_protocol.runner import Outcome, SandboxMode
from messages import says
from pydantic import JsonValue

from .film_desk import NEEDS_FFMPEG, Desk, picture, refusal
from .in_process import end, run_job

pytestmark = NEEDS_FFMPEG

ACROSS, DOWN, PIXELS = 6, 4, 16
BEST: dict[str, Any] = {"codec": "PRORES", "quality": 6}
"""10 bits for each pixel and colour."""
CLOSE = 2.0
"""Most that a patch may differ from Blender's own picture, of 255."""


@pytest.fixture(scope="module")
def scenes(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blender.made_by(Path(__file__).with_name("make_views.py"), tmp_path_factory.mktemp("v"))


@pytest.fixture(scope="module")
def program(blender: Blender) -> Renderer:
    """Return the Blender as the farm finds it."""
    (found,) = Discovery({"blender": [str(blender.program)]}).of("blender")
    return found


@pytest.fixture
def desk(tmp_path: Path, program: Renderer) -> Desk:
    desk = Desk(tmp_path)
    desk.others = [program]
    return desk


def render(desk: Desk, scenes: Path, name: str, output_format: str = "OPEN_EXR") -> None:
    """Render a scene on the farm; its frames are the images of the desk's films."""
    folder = desk.folder / "render"
    (folder / "project").mkdir(parents=True)
    shutil.copyfile(scenes / f"{name}.blend", folder / "project" / "scene.blend")
    params: dict[str, JsonValue] = {"frames": "1 2", "output_format": output_format}
    farm = run_job(folder, "blender", desk.others, "render", "scene.blend", [[1, 2]], params)
    assert end(farm).outcome is Outcome.COMPLETED, (end(farm), farm.log)
    for done in farm.frames.values():
        for output in done.outputs:
            (desk.images / Path(output.path).name).write_bytes(farm.blobs[output.hash])


@pytest.mark.parametrize(("name", "warns"), [("default", True), ("standard", False)])
def test_a_film_in_other_colours_than_its_scene_warns(
    desk: Desk, scenes: Path, name: str, warns: bool
) -> None:
    render(desk, scenes, name)
    told = desk.run("frame_####.exr", **BEST).requests[-1].warnings
    assert any(says(each, "blender-shows-scene-with-view") for each in told) is warns, told


def patches(film: Path, number: int, channels: int = 3) -> list[tuple[float, ...]]:
    """Return the mean colour in the middle of each patch of a picture, 0 to 255."""
    size = (ACROSS * PIXELS, DOWN * PIXELS)
    values = picture(film, number, size, channels)
    found = []
    for row in range(DOWN):
        for column in range(ACROSS):
            places = [
                (y * size[0] + x) * channels
                for y in range(row * PIXELS + 4, (row + 1) * PIXELS - 4)
                for x in range(column * PIXELS + 4, (column + 1) * PIXELS - 4)
            ]
            found.append(
                tuple(
                    sum(values[place + each] for place in places) / len(places) / 257
                    for each in range(channels)
                )
            )
    return found


def farthest(film: Path, pictures: list[Path], channels: int = 3) -> float:
    """Return how far a film's patches are from those of pictures at most, of 255."""
    return max(
        abs(seen - meant)
        for number, path in enumerate(pictures)
        for a, b in zip(patches(film, number, channels), patches(path, 0, channels), strict=True)
        for seen, meant in zip(a, b, strict=True)
    )


def digest(program: Renderer) -> str:
    (config,) = program.colours
    return hashlib.sha256(config.read_bytes()).hexdigest()


def own(scenes: Path, name: str) -> list[Path]:
    """Return the pictures that Blender saved itself."""
    return [scenes / f"{name}_{frame:04d}.png" for frame in (1, 2)]


@pytest.mark.every_blender(always=True)
@pytest.mark.parametrize("name", ["default", "look", "standard"])
def test_a_film_looks_like_the_pictures_of_blender(desk: Desk, scenes: Path, name: str) -> None:
    render(desk, scenes, name)
    film = desk.film(desk.run("frame_####.exr", view="SCENE", **BEST))
    assert farthest(film, own(scenes, name)) < CLOSE
    # Without that it looks otherwise; the plain curve is the view of the last scene.
    plain = farthest(desk.film(desk.run("frame_####.exr", **BEST)), own(scenes, name))
    assert plain < CLOSE if name == "standard" else plain > 20, plain


@pytest.mark.every_blender(always=True)
def test_layers_are_shown_likewise(desk: Desk, scenes: Path) -> None:
    render(desk, scenes, "look", "OPEN_EXR_MULTILAYER")
    film = desk.film(desk.run("frame_####.exr", view="SCENE", **BEST))
    assert farthest(film, own(scenes, "look")) < CLOSE


def test_what_is_transparent_is_seen_as_blender_shows_it(desk: Desk, scenes: Path) -> None:
    render(desk, scenes, "clear-alpha")
    film = desk.film(desk.run("frame_####.exr", view="SCENE", codec="PRORES", quality=4))
    assert farthest(film, own(scenes, "clear")) < CLOSE + 2  # Two pixels share a colour.
    film = desk.film(desk.run("frame_####.exr", view="SCENE", **BEST))
    assert farthest(film, own(scenes, "clear-alpha"), 4) < CLOSE


def test_other_images_are_taken_as_they_are(desk: Desk) -> None:
    desk.draw(1, 2)
    plain = desk.film(desk.run()).read_bytes()
    assert desk.film(desk.run(view="SCENE")).read_bytes() == plain


def test_images_that_say_nothing(desk: Desk) -> None:
    desk.draw(1, suffix="exr")
    message = refusal(desk.run("frame_####.exr", view="SCENE"), permanent=True)
    assert says(message, "image-names-no-view", "frame_0001.exr")


NOTE = {
    "display": "sRGB",
    "view": "Standard",
    "look": "None",
    "exposure": 0.0,
    "gamma": 1.0,
    "space": "",
    "besides": [],
    "whose": "Blender 9.9.9",
    "config": "",
}


@pytest.mark.parametrize(
    ("changed", "said", "permanent"),
    [
        ({"config": "0" * 64}, "no-colours-of-blender", False),
        ({"besides": ["curves"]}, "view-has-more", True),
        ({"display": "Rec.2100-PQ"}, "other-display", True),
        ({"view": "Nothing"}, "opencolorio-cannot-show", True),
        ({"look": "Nothing"}, "opencolorio-cannot-show", True),
        ({"exposure": 1e9}, "image-names-no-view", True),
        ({"gamma": "nan"}, "image-names-no-view", True),
        ({"besides": 5}, "image-names-no-view", True),
    ],
)
def test_what_a_film_cannot_show_is_told(
    desk: Desk, changed: dict[str, JsonValue], said: str, permanent: bool
) -> None:
    note = {**NOTE, "config": digest(desk.others[0]), **changed}
    desk.draw(1, suffix="exr")
    add_text(str(desk.images / "frame_0001.exr"), "farmView", json.dumps(note))
    message = refusal(desk.run("frame_####.exr", view="SCENE"), permanent=permanent)
    assert says(message, said, "frame_0001.exr")


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", "[" * 9999, '"x"', "null"])
def test_a_note_that_is_none(desk: Desk, text: str) -> None:
    desk.draw(1, suffix="exr")
    add_text(str(desk.images / "frame_0001.exr"), "farmView", text)
    message = refusal(desk.run("frame_####.exr", view="SCENE"), permanent=True)
    assert says(message, "image-names-no-view", "frame_0001.exr")


def test_curves_of_the_scene_are_told(desk: Desk, scenes: Path) -> None:
    render(desk, scenes, "curves")
    message = refusal(desk.run("frame_####.exr", view="SCENE"), permanent=True)
    assert says(message, "view-has-more", "curves")


@pytest.mark.parametrize(
    "sandbox",
    [
        "off",
        pytest.param("required", marks=pytest.mark.skipif(bool(probe()), reason="no bubblewrap")),
    ],
)
def test_the_configuration_of_a_studio(
    desk: Desk,
    scenes: Path,
    program: Renderer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    sandbox: SandboxMode,
) -> None:
    studio = tmp_path_factory.mktemp("studio") / "ocio"
    shutil.copytree(program.colours[0].parent, studio)
    with (studio / "config.ocio").open("a") as file:
        file.write("\n# The studio's own.\n")
    monkeypatch.setenv("OCIO", str(studio / "config.ocio"))
    render(desk, scenes, "look")
    film = desk.film(desk.run("frame_####.exr", view="SCENE", sandbox=sandbox, **BEST))
    assert farthest(film, own(scenes, "look")) < CLOSE
    monkeypatch.delenv("OCIO")
    message = refusal(desk.run("frame_####.exr", view="SCENE"), permanent=False)
    assert says(message, "no-colours-of-blender", "frame_0001.exr")


@pytest.mark.skipif(bool(probe()), reason="bubblewrap does not work here")
def test_in_the_sandbox(desk: Desk, scenes: Path) -> None:
    render(desk, scenes, "look")
    film = desk.film(desk.run("frame_####.exr", view="SCENE", sandbox="required", **BEST))
    assert farthest(film, own(scenes, "look")) < CLOSE
