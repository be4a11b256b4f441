"""What a real scene needs and its project does not have; damaged and hostile scenes."""

import contextlib
import io
import json
import random
import shutil
import struct
import unicodedata
from pathlib import Path

import pytest
import zstandard
from blenders import Blender
from farm.scenes.blend_assets import Lacks, UnreadableBlendError, missing_assets
from farm.scenes.blend_header import saved_by
from farm.scenes.lacks import lacks
from farm.scenes.mapped import mapped
from farm.scenes.usages import AssetKind, Usage
from farm_protocol.hashing import hash_file
from farm_protocol.path_maps import path_map_of
from messages import saying, says

pytestmark = pytest.mark.every_blender

MANY = "demo/scenes/many.blend"
SHOT, MID, DEEP = "demo/scenes/shot.blend", "demo/libs/mid.blend", "demo/libs/deep.blend"


@pytest.fixture(scope="module")
def project(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Remote path to blob: read-only, named by hash, as in the farm's store."""
    folder, blobs = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("blobs")
    blender.made_by(Path(__file__).with_name("make_project.py"), folder)
    files = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".blend1":
            blob = blobs / hash_file(path)[0]
            shutil.copyfile(path, blob)
            blob.chmod(0o444)
            files[f"demo/{path.relative_to(folder).as_posix()}"] = blob
    return files


def said(
    lacks: Lacks,
) -> dict[tuple[str, str], tuple[AssetKind, str | None, str | None]]:
    assert (lacks.more, lacks.unknown) == (0, 0)
    return {
        (each.used_by, each.path): (each.kind, each.expected, each.similar) for each in lacks.assets
    }


OUTSIDE = {
    (SHOT, path): (AssetKind.IMAGE, None, None)
    for path in (
        "/home/artist/wood.png",
        "C:\\textures\\wood.png",
        "\\\\server\\share\\wood.png",
        "textures/wood.png",
        "//../../wood.png",
    )
}
SMOKE = {(SHOT, "//smoke_0001.vdb"): (AssetKind.VOLUME, "demo/scenes/smoke_0001.vdb", None)}


@pytest.mark.parametrize("blend", [SHOT, DEEP])
def test_a_real_scene_tells_who_saved_it(project: dict[str, Path], blend: str) -> None:
    assert (
        str(saved_by(io.BytesIO(project[blend].read_bytes())))
        == project["demo/version.txt"].read_text()
    )


def test_only_what_is_not_there_is_missing(project: dict[str, Path]) -> None:
    assert said(missing_assets(SHOT, project)) == OUTSIDE | SMOKE


def test_blobs_are_only_read(project: dict[str, Path]) -> None:
    before = {path: path.read_bytes() for path in project.values()}
    missing_assets(SHOT, project)
    assert {path: path.read_bytes() for path in project.values()} == before


def test_a_scene_without_dependencies_misses_nothing(project: dict[str, Path]) -> None:
    assert missing_assets("demo/scenes/nothing.blend", project) == Lacks([])


def test_a_library_that_is_packed_into_the_scene_is_no_dependency(project: dict[str, Path]) -> None:
    scene = "demo/scenes/packed_link.blend"
    if scene not in project:
        pytest.skip("needs Blender 5.0 or newer")
    files = {remote: blob for remote, blob in project.items() if not remote.startswith("demo/libs")}
    assert missing_assets(scene, files) == Lacks([])


@pytest.mark.parametrize(
    ("gone", "used_by", "path", "kind"),
    [
        ("demo/textures/wood.png", SHOT, "//../textures/wood.png", AssetKind.IMAGE),
        ("demo/textures/wood.png", SHOT, "//..\\textures\\wood.png", AssetKind.IMAGE),
        ("demo/tiles/rock.1001.png", SHOT, "//../tiles/rock.<UDIM>.png", AssetKind.IMAGE),
        (MID, SHOT, "//../libs/mid.blend", AssetKind.LIBRARY),
        (DEEP, MID, "//deep.blend", AssetKind.LIBRARY),
        # Only the library of the library names it.
        ("demo/textures/metal.png", DEEP, "//../textures/metal.png", AssetKind.IMAGE),
    ],
)
def test_a_missing_file_is_told_with_who_needs_it(
    project: dict[str, Path], gone: str, used_by: str, path: str, kind: AssetKind
) -> None:
    files = {remote: blob for remote, blob in project.items() if remote != gone}
    found = said(missing_assets(SHOT, files))
    assert found[used_by, path][0] is kind
    new = {key: expected for key, (_, expected, _) in found.items() if expected == gone}
    # Of tiles no single file is expected.
    assert new or "<UDIM>" in path
    assert found.keys() - OUTSIDE.keys() - SMOKE.keys() >= {(used_by, path)}


def test_a_sequence_is_missing_when_its_last_frame_is_gone(project: dict[str, Path]) -> None:
    def water(files: dict[str, Path]) -> bool:
        return (SHOT, "//../seq/water_0001.png") in said(missing_assets(SHOT, files))

    one = {remote: blob for remote, blob in project.items() if not remote.endswith("_0003.png")}
    none = {remote: blob for remote, blob in one.items() if not remote.endswith("_0004.png")}
    assert not water(one)
    assert water(none)


def test_packed_images_and_what_stands_in_the_library_itself_are_no_dependency(
    project: dict[str, Path],
) -> None:
    files = {remote: blob for remote, blob in project.items() if "packed" not in remote}
    assert said(missing_assets(SHOT, files)) == OUTSIDE | SMOKE


def test_a_file_whose_case_differs_is_named(project: dict[str, Path]) -> None:
    files = dict(project)
    files["demo/Textures/Wood.PNG"] = files.pop("demo/textures/wood.png")
    missing = missing_assets(SHOT, files)
    key = (SHOT, "//../textures/wood.png")
    assert said(missing)[key][2] == "demo/Textures/Wood.PNG"
    assert any(says(each, "names-differ-in-case") for each in missing.assets)


def test_a_file_whose_accents_are_encoded_differently_is_there() -> None:
    """The renderer finds it. One whose case differs as well is another file."""
    names = [unicodedata.normalize("NFD", "é.png"), "ä.png", unicodedata.normalize("NFD", "Ü.png")]
    usages = [Usage(f"//{name}", SHOT, AssetKind.IMAGE, "image", False) for name in names]
    there = ["é.png", unicodedata.normalize("NFD", "ä.png"), "ü.png"]
    found = lacks(usages, [f"demo/scenes/{each}" for each in there], mapped([]))
    assert [each.path for each in found.assets] == [f"//{names[2]}"]
    assert says(found.assets[0], "names-differ-in-case-and-accents")


def test_every_missing_file_has_a_message(project: dict[str, Path]) -> None:
    files = {remote: blob for remote, blob in project.items() if remote != DEEP}
    for each in missing_assets(SHOT, files).assets:
        assert str(each).startswith(f"{each.used_by} ")
        assert f"'{each.path}' ({each.kind} '" in str(each)
        assert str(each).endswith(".")


@pytest.mark.parametrize("broken", [SHOT, MID, DEEP])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_truncated_scene_or_library_is_not_one_without_dependencies(
    project: dict[str, Path], tmp_path: Path, broken: str, share: float
) -> None:
    data = project[broken].read_bytes()
    part = tmp_path / "blob"
    part.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableBlendError, match=broken) as caught:
        missing_assets(SHOT, project | {broken: part})
    assert caught.value.path == broken


def test_a_changed_byte_never_does_more_than_that(project: dict[str, Path], tmp_path: Path) -> None:
    # Plain, or nearly every change is found by the checksum of the compression.
    original = project[DEEP].read_bytes()
    if original.startswith(b"\x28\xb5\x2f\xfd"):
        with zstandard.ZstdDecompressor().stream_reader(original, read_across_frames=True) as plain:
            original = plain.read()
    generator = random.Random(7)
    for number in range(12):
        data = bytearray(original)
        for _ in range(200):
            data[generator.randrange(len(data))] = generator.randrange(256)
        part = tmp_path / str(number)
        part.write_bytes(data)
        with contextlib.suppress(UnreadableBlendError):
            missing_assets(DEEP, project | {DEEP: part}, seconds=2)


def rules(*told: tuple[str, str]) -> bytes:
    """Return a map of paths."""
    names = ("source_path", "destination_path")
    rules = [
        {"source_path_format": "POSIX", **dict(zip(names, rule, strict=True))} for rule in told
    ]
    return json.dumps({"rules": rules}).encode()


def test_a_library_that_lies_elsewhere_by_the_map_is_looked_through(
    project: dict[str, Path], tmp_path: Path
) -> None:
    place = tmp_path / "map.json"
    place.write_bytes(
        rules(("/home/ann/scenes/shot.blend", SHOT), ("/home/ann/libs", "demo/_gathered/libs"))
    )
    files = {path: file for path, file in project.items() if "/libs/" not in path}
    files |= {path_map_of(SHOT): place, "demo/_gathered/libs/mid.blend": project[MID]}
    missing = missing_assets(SHOT, files).assets
    assert [each.path for each in missing if each.kind is AssetKind.LIBRARY] == ["//deep.blend"]


def test_names_times_places_take_no_longer_than_the_names(
    project: dict[str, Path], tmp_path: Path
) -> None:
    """100,000 places of each of 1,000 names took 12 minutes, in the farm itself."""
    place = tmp_path / "map.json"
    place.write_bytes(rules(*(("/a", f"demo/{number}") for number in range(100_000))))
    assert missed({MANY: project[MANY], path_map_of(MANY): place}) == NAMED


def test_nor_do_patterns_times_files(project: dict[str, Path]) -> None:
    scene = project[MANY]
    files = {f"demo/scenes/a{number}.exr": scene for number in range(50_000)}
    assert missed({MANY: scene, **files}) == NAMED


NAMED = (2000, 0)


def missed(files: dict[str, Path]) -> tuple[int, int]:
    """Return of how many names no file is there, and of how many nobody knows."""
    lacks = missing_assets(MANY, files)
    return len(lacks.assets) + lacks.more, lacks.unknown


def test_a_file_that_sends_its_reader_in_circles_is_refused_at_once(tmp_path: Path) -> None:
    blend = tmp_path / "blob"
    # A block whose length leads back to its own beginning.
    blend.write_bytes(b"BLENDER-v304" + struct.pack("<4siQii", b"TEST", -24, 1, 0, 0))
    with pytest.raises(UnreadableBlendError, match="BlendFileError"):
        missing_assets("a/b.blend", {"a/b.blend": blend})


def test_a_small_file_that_keeps_its_reader_busy_is_given_up(tmp_path: Path) -> None:
    # It has four billion names, and ends after none.
    names = b"SDNANAME" + b"\xff" * 4 + bytes(88)
    blend = tmp_path / "blob"
    block = struct.pack("<4siQii", b"DNA1", len(names), 1, 0, 0)
    blend.write_bytes(b"BLENDER-v304" + block + names)
    with pytest.raises(UnreadableBlendError, check=saying("scene-read-too-slowly", "a/b.blend", 1)):
        missing_assets("a/b.blend", {"a/b.blend": blend}, seconds=1)
    # Of processor time it gets much less than a scene.
    with pytest.raises(
        UnreadableBlendError, check=saying("scene-damaged-or-too-large", "a/b.blend")
    ):
        missing_assets("a/b.blend", {"a/b.blend": blend})


def test_paths_outside_the_project_are_not_opened(project: dict[str, Path], tmp_path: Path) -> None:
    # A library by this name exists on this disk, and is none of the project's business.
    files = {remote: blob for remote, blob in project.items() if remote != MID}
    elsewhere = tmp_path / "libs" / "mid.blend"
    elsewhere.parent.mkdir()
    shutil.copyfile(project[MID], elsewhere)
    scene = tmp_path / "scenes" / "shot.blend"
    scene.parent.mkdir()
    shutil.copyfile(project[SHOT], scene)
    assets = missing_assets(SHOT, files | {SHOT: scene}).assets
    assert {each.used_by for each in assets} == {SHOT}


def test_a_file_that_is_no_scene_is_unreadable(tmp_path: Path) -> None:
    blend = tmp_path / "blob"
    blend.write_bytes(b"a picture, say")
    with pytest.raises(
        UnreadableBlendError, check=saying("scene-damaged-or-unknown-version", "a/b.blend")
    ):
        missing_assets("a/b.blend", {"a/b.blend": blend})
