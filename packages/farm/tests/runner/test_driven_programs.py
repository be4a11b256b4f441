"""Nuke, Maya, Cinema 4D and V-Ray: jobs of each, with strict stand-ins, through the real runner."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from farm.products import BUILT_IN
from farm_protocol.runner import Outcome
from messages import saying, says
from pydantic import JsonValue
from stand_ins.scenes import SIZE, write_scene

from .desk import Desk
from .in_process import end, names

PRODUCTS = ("nuke", "maya", "c4d", "vray")
SIZED = ("maya", "c4d", "vray")
"""Products whose jobs say how large frames are."""
FORMATS = {"maya": "png", "c4d": "png", "vray": "exr"}


@pytest.fixture
def desk(tmp_path: Path) -> Callable[[str], Desk]:
    return lambda product: Desk(tmp_path, product)


@pytest.mark.parametrize("product", SIZED)
def test_frames_get_the_documented_names(desk: Callable[[str], Desk], product: str) -> None:
    farm = desk(product).run(
        claims=[[1, 2, 3, 5, 7], [10]],
        output_prefix="deep/shot_###_x",
        output_format=FORMATS[product],
        output_width=48,
        output_height=30,
    )
    assert [finish.outcome for finish in farm.finishes.values()] == [Outcome.COMPLETED] * 2, (
        farm.log
    )
    suffix = FORMATS[product]
    for frame, files in names(farm).items():
        assert files[0] == f"deep/shot_{frame:03d}_x.{suffix}"
    assert list(names(farm)) == [1, 2, 3, 5, 7, 10]


@pytest.mark.parametrize("product", PRODUCTS)
def test_negative_frames(desk: Callable[[str], Desk], product: str) -> None:
    farm = desk(product).run(claims=[[-3, -1, 1]], frames="-3 1 2")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert list(names(farm)) == [-3, -1, 1]
    assert "-0003" in names(farm)[-3][0]


@pytest.mark.parametrize("product", PRODUCTS)
def test_without_a_licence_nothing_has_failed(desk: Callable[[str], Desk], product: str) -> None:
    farm = desk(product).run("licence", claims=[[1, 2]])
    assert end(farm).outcome is Outcome.NO_LICENCE, farm.log
    assert farm.frames == {}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(
    ("order", "delivered"),
    [
        ("fail-at 3", {1, 2}),
        ("crash-at 3", {1, 2}),
        ("lie-at 3", {1, 2, 4}),
        ("truncate 3", {1, 2, 4}),
    ],
)
def test_what_goes_wrong_is_noticed(
    desk: Callable[[str], Desk], product: str, order: str, delivered: set[int]
) -> None:
    farm = desk(product).run(order, claims=[[1, 2, 3, 4]])
    assert end(farm).outcome is Outcome.FAILED, farm.log
    assert end(farm).message
    # A program that says only in the end that a frame is whole may lose what it had.
    assert set(farm.frames) <= delivered
    if order.startswith(("lie", "truncate")):
        assert set(farm.frames) == delivered, farm.log
        assert "3" in end(farm).message


@pytest.mark.parametrize("product", PRODUCTS)
def test_an_error_that_ends_with_0_is_an_error(desk: Callable[[str], Desk], product: str) -> None:
    farm = desk(product).run("error-exit-0", "seconds 0.1", claims=[[1, 2]])
    assert end(farm).outcome is Outcome.FAILED, farm.log
    assert end(farm).marker in farm.log


@pytest.mark.parametrize(
    ("product", "name"),
    [
        ("c4d", "Rendering failed fix"),
        ("c4d", "failed fix"),
        ("maya", "failed to render, Fatal Error"),
        ("nuke", "A license for it was not found"),
        ("vray", "Could not obtain a license"),
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_what_names_say_is_no_error(
    desk: Callable[[str], Desk], product: str, name: str, fails: bool
) -> None:
    place = desk(product)
    written = write_scene(place.folder / "project", product, *["error-exit-0"] * fails)
    scene = written.rename(written.with_name(f"{name}{written.suffix}"))
    params: dict[str, Any] = {} if product == "nuke" else {"output_prefix": f"{name}_"}
    farm = place.render(scene, claims=[[1, 2]], **params)
    assert scene.name in farm.log
    expected = Outcome.FAILED if fails else Outcome.COMPLETED
    assert end(farm).outcome is expected, farm.log


def test_a_document_that_c4d_cannot_load_is_told_by_its_own_words(
    desk: Callable[[str], Desk],
) -> None:
    farm = desk("c4d").run(claims=[[1]], extra="resolution 1 1\n")
    assert "Error loading document" in end(farm).marker


@pytest.mark.parametrize("product", SIZED)
def test_a_frame_of_another_size_is_refused(desk: Callable[[str], Desk], product: str) -> None:
    width, height = SIZE
    farm = desk(product).run(
        "wrong-size 3", claims=[[2, 3, 4]], output_width=width, output_height=height
    )
    assert end(farm).outcome is Outcome.FAILED
    assert set(farm.frames) == {2, 4}
    assert says(end(farm).message, "image-has-wrong-size", width, height)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_program_that_hangs_is_ended(desk: Callable[[str], Desk], product: str) -> None:
    farm = desk(product).run("hang-at 2", claims=[[1, 2, 3]], silence_timeout=10)
    assert end(farm).outcome is Outcome.FAILED
    assert says(end(farm).message, "renderer-was-silent", 10, "silence_timeout")


def test_a_file_that_another_job_has_written_ends_the_job_for_good(
    desk: Callable[[str], Desk],
) -> None:
    # It would take two minutes if the renderer were left to it.
    farm = desk("nuke").run(
        "hang-at 3", claims=[[1, 2, 3, 4]], write_nodes="Write1", taken=[2], silence_timeout=120
    )
    assert end(farm).outcome is Outcome.FAILED
    assert (end(farm).message, end(farm).frame) == ("Another job has written it.", 2)
    assert end(farm).permanent
    assert set(farm.frames) == {1}


def test_c4d_passes_come_with_their_frame(desk: Callable[[str], Desk]) -> None:
    farm = desk("c4d").run(claims=[[1, 2]], output_multipass_prefix="passes/p_", take="close")
    assert names(farm) == {
        frame: [f"frame_{frame:04d}.png", f"passes/p_diffuse{frame:04d}.png"] for frame in (1, 2)
    }


@pytest.mark.parametrize(
    ("product", "params", "word"),
    [
        ("c4d", {"take": "far"}, "far"),
        ("maya", {"camera": "far"}, "Camera far"),
    ],
)
def test_what_the_scene_does_not_have_fails(
    desk: Callable[[str], Desk], product: str, params: dict[str, Any], word: str
) -> None:
    farm = desk(product).run(claims=[[1]], **params)
    assert end(farm).outcome is Outcome.FAILED
    assert word in end(farm).message


SAMPLER = "SettingsImageSampler sampler@1 {\n  type=1;\n}\n"
WOOD = 'BitmapBuffer wood@1 {\n  file="Z:/tex/wood.png";\n}\n'
REMAP = "<RemapPaths><RemapItem><From>Z:/tex</From><To>{}</To></RemapItem></RemapPaths>"


def test_vray_takes_its_own_parameters(desk: Callable[[str], Desk]) -> None:
    farm = desk("vray").run(
        claims=[[1]], extra=SAMPLER, rt_engine=5, sampling_type="progressive", output_format="png"
    )
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert "Image sampler type: 3" in farm.log
    assert "-rtEngine=5" in farm.log


def test_vray_cannot_change_a_sampler_that_is_not_there(desk: Callable[[str], Desk]) -> None:
    farm = desk("vray").run(claims=[[1]], sampling_type="bucket")
    lacks = saying("sampling-type-without-effect", "scene.vrscene", "SettingsImageSampler")
    assert end(farm).message == lacks
    assert end(farm).permanent


@pytest.mark.sample(1)
@pytest.mark.parametrize("to", ["/show/deep/tex", "show/deep/tex", "\n  /show/deep/tex\n"])
def test_vray_finds_what_a_remap_file_says(desk: Callable[[str], Desk], to: str) -> None:
    place = desk("vray")
    textures = place.folder / "project" / "deep" / "tex"
    textures.mkdir(parents=True)
    _draw(textures / "wood.png")
    (textures.parent / "remap.xml").write_text(REMAP.format(to))
    farm = place.run(claims=[[1], [2]], extra=WOOD, remap_file="/show/deep/remap.xml")
    assert {each.outcome for each in farm.finishes.values()} == {Outcome.COMPLETED}, farm.log


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("to", "missing"), [("/shows/tex", "/shows/tex/wood.png"), ("/mnt/show", "/mnt/show/wood.png")]
)
def test_vray_is_told_other_folders_as_they_are(
    desk: Callable[[str], Desk], to: str, missing: str
) -> None:
    place = desk("vray")
    (place.folder / "project" / "remap.xml").write_text(REMAP.format(to))
    farm = place.run(claims=[[1]], extra=WOOD, remap_file="show/remap.xml")
    assert end(farm).marker == f'error: Could not load bitmap file "{missing}"'


@pytest.mark.parametrize("content", [b"From Z:/tex To /show", b"<RemapPaths>\xff</RemapPaths>"])
def test_a_remap_file_of_vray_that_is_none_is_told(
    desk: Callable[[str], Desk], content: bytes
) -> None:
    place = desk("vray")
    (place.folder / "project" / "remap.xml").write_bytes(content)
    farm = place.run(claims=[[1]], remap_file="/show/remap.xml")
    name = "not-remap-file-not-text" if b"\xff" in content else "not-remap-file-must-hold"
    assert says(end(farm).message, name, "show/remap.xml")
    assert end(farm).permanent


@pytest.mark.sample(1)
@pytest.mark.parametrize("digits", [1, 3, 6])
def test_vray_scenes_choose_the_digits_of_their_numbers(
    desk: Callable[[str], Desk], digits: int
) -> None:
    place = desk("vray")
    scene = write_scene(place.folder / "project", "vray")
    text = scene.read_text().replace("img_width", f"anim_frame_padding={digits};\n  img_width")
    scene.write_text(text)
    farm = place.render(scene, claims=[[-1, 0, 1], [10]])
    assert {each.outcome for each in farm.finishes.values()} == {Outcome.COMPLETED}, farm.log
    assert names(farm) == {
        frame: [f"frame_{'-' * (frame < 0)}{abs(frame):04d}.exr"] for frame in (-1, 0, 1, 10)
    }


@pytest.mark.parametrize(
    ("product", "params", "field"),
    [
        ("vray", {"rt_engine": 2}, "rt_engine"),
        ("vray", {"remap_file": "../../etc/passwd"}, "remap_file"),
        ("maya", {"output_format": "psd"}, "output_format"),
        ("c4d", {"output_multipass_prefix": "/etc/p"}, "output_multipass_prefix"),
        ("c4d", {"output_width": "wide"}, "output_width"),
        ("c4d", {"output_width": 640}, "output_width"),
        ("maya", {"output_height": 480}, "output_height"),
        ("vray", {"output_width": 640}, "output_width"),
        ("nuke", {"gpu": "maybe"}, "gpu"),
    ],
)
def test_wrong_parameters_are_named(product: str, params: dict[str, JsonValue], field: str) -> None:
    template = BUILT_IN.load(product, "render")
    assert template is not None
    assert list(template.validate({"frames": "1", **params}).errors) == [field]


MAYA_WITH_PASSES = """\
#!/bin/sh
case "$1" in -v) echo "Maya 2025.2"; exit;; esac
for each in "$@"; do
  case "$previous" in
    -rd) folder=$each;; -s) first=$each;; -e) last=$each;; -proj) project=$each;;
  esac
  previous=$each
done
for frame in $(seq "$first" "$last"); do
  number=$(printf %04d "$frame")
  for name in frame frame_Z; do
    echo "[driver] writing file $name.$number.png"
    cp "$project/picture.png" "$folder/$name.$number.png"
  done
done
"""


def _draw(path: Path) -> None:
    picture = oiio.ImageBuf(oiio.ImageSpec(8, 8, 3, "uint8"))
    oiio.ImageBufAlgo.checker(picture, 2, 2, 1, (0, 0, 0), (1, 1, 1))
    picture.write(str(path))


def test_passes_of_maya_come_with_their_frame(desk: Callable[[str], Desk]) -> None:
    place = desk("maya")
    for name in ("Render", "maya"):
        (place.program.parent / name).write_text(MAYA_WITH_PASSES)
    _draw(place.folder / "project" / "picture.png")
    farm = place.run(claims=[[1, 2, 3]], output_format="png")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert names(farm) == {
        frame: [f"frame_{frame:04d}.png", f"frame_Z.{frame:04d}.png"] for frame in (1, 2, 3)
    }


CAMERA = 'createNode camera -n "sideShape" -p "side";\n'
LAYER = 'createNode renderLayer -n "beauty";\n'


@pytest.mark.parametrize(
    ("extra", "params", "folders"),
    [
        (CAMERA, {}, ["persp", "side"]),
        (CAMERA, {"camera": "side"}, [""]),
        (LAYER, {}, ["beauty", "masterLayer"]),
        (LAYER, {"render_layer": "beauty"}, ["beauty"]),
        (
            LAYER + CAMERA,
            {"output_prefix": "deep/f_"},
            ["beauty/persp", "beauty/side", "masterLayer/persp", "masterLayer/side"],
        ),
    ],
)
def test_folders_of_maya_cameras_and_layers_are_delivered(
    desk: Callable[[str], Desk], extra: str, params: dict[str, Any], folders: list[str]
) -> None:
    prefix = params.get("output_prefix", "frame_")
    farm = desk("maya").run(claims=[[1, 2]], extra=extra, **params)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert names(farm) == {
        frame: [f"{folder}/{prefix}{frame:04d}.exr".lstrip("/") for folder in folders]
        for frame in (1, 2)
    }


def test_a_maya_frame_lacks_a_camera(desk: Callable[[str], Desk]) -> None:
    place = desk("maya")
    for name in ("Render", "maya"):
        script = MAYA_WITH_PASSES.replace("frame frame_Z", "a/frame a/frame_Z b/frame")
        script = script.replace("    cp", '    [ "$name$frame" = b/frame2 ] && continue\n    cp')
        head = 'mkdir -p "$folder/a" "$folder/b"\nfor frame in'
        (place.program.parent / name).write_text(script.replace("for frame in", head))
    _draw(place.folder / "project" / "picture.png")
    farm = place.run(claims=[[1, 2, 3]], output_format="png")
    assert end(farm).message == saying("renderer-ended-without-error-but", 2)
    assert names(farm) == {
        frame: [
            f"a/frame_{frame:04d}.png",
            f"b/frame_{frame:04d}.png",
            f"a/frame_Z.{frame:04d}.png",
        ]
        for frame in (1, 3)
    }


def test_equal_prefixes_replace_nothing(desk: Callable[[str], Desk]) -> None:
    farm = desk("c4d").run(claims=[[1]], output_multipass_prefix="frame_diffuse")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert len(set(names(farm)[1])) == 2
