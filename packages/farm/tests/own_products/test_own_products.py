"""A studio's own product: a folder beside the farm's, and nothing of the farm is touched."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml
from farm.catalogue.definitions import CatalogueError, built_in, load_definitions
from farm.config import Settings
from farm.main import find_catalogue
from farm.products import BUILT_IN, Library, ProductError
from messages import saying, says
from runner.in_process import end, names, run_job

HERE = Path(__file__).parent

SKETCH = f"""#!{sys.executable}
import struct, sys, zlib

if sys.argv[1:] == ["--version"]:
    print("Sketch 1.2.3")
    sys.exit()
scene, first, last, folder, *options = sys.argv[1:]
brush = dict(zip(options[::2], options[1::2], strict=True))["--brush"]
colour = {{"ink": b"\\x10\\x20\\x80", "oil": b"\\xc0\\x40\\x10"}}[brush]


def piece(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


for frame in range(int(first), int(last) + 1):
    print(f"Drawing {{frame}} with {{brush}}", flush=True)
    rows = b"".join(b"\\0" + colour * 7 + bytes([frame] * 3) for _ in range(8))
    with open(f"{{folder}}/frame{{frame:04d}}.png", "wb") as image:
        image.write(
            b"\\x89PNG\\r\\n\\x1a\\n"
            + piece(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
            + piece(b"IDAT", zlib.compress(rows))
            + piece(b"IEND", b"")
        )
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Install the studio's renderer."""
    path = tmp_path / "bin" / "sketch"
    path.parent.mkdir()
    path.write_text(SKETCH)
    path.chmod(0o755)
    return path


def test_the_catalogue_offers_it(tmp_path: Path, program: Path) -> None:
    settings = Settings(
        data_dir=tmp_path / "farm", products=[HERE], programs={"sketch": [str(program)]}
    )

    catalogue = find_catalogue(settings)

    (row,) = [row for row in catalogue.products if row.app_type == "sketch"]
    assert (row.name, row.version, row.operations) == ("Sketch", "1.2.3", ["render"])


@pytest.mark.parametrize(("brush", "drawn_with"), [("", "ink"), ("oil", "oil")])
def test_a_job_of_it_is_rendered(
    tmp_path: Path, program: Path, brush: str, drawn_with: str
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "hero.sketch").write_text("ink\n")

    farm = run_job(
        *(tmp_path, "sketch", program, "render", "hero.sketch", [[1, 2, 3]]),
        {"frames": "1 3", "output_prefix": "beauty_", "brush": brush},
        library=Library([HERE]),
    )

    assert names(farm) == {frame: [f"beauty_{frame:04d}.png"] for frame in (1, 2, 3)}
    assert end(farm).outcome == "completed"
    assert f"Drawing 2 with {drawn_with}" in farm.log


READS = """
import time
from farm.products import SceneError


def read_scene(scene, partial, values):
    {}
    raise SceneError("It was read to its end.")
"""


@pytest.mark.parametrize(
    ("reads", "yields", "outcome", "message"),
    [
        ("time.sleep(60)", True, "stopped", None),
        (
            "bytearray(8 << 30)",
            False,
            "failed",
            saying("needs-too-much-memory-read", "hero.sketch"),
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)",
            False,
            "failed",
            saying("takes-too-long-too-much", "hero.sketch"),
        ),
        ("print('It is fine.')", False, "failed", "It was read to its end."),
        ("open('/nowhere')", False, "failed", "No such file or directory"),
        ("return None", False, "failed", saying("reader-of-scenes-ended", 1)),
    ],
)
def test_reading_a_scene_is_bounded_and_holds_nothing_up(
    tmp_path: Path,
    program: Path,
    reads: str,
    yields: bool,
    outcome: str,
    message: saying | str | None,
) -> None:
    shutil.copytree(HERE / "sketch", tmp_path / "own" / "sketch")
    (tmp_path / "own" / "sketch" / "scene.py").write_text(READS.format(reads))
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "hero.sketch").write_text("ink\n")

    farm = run_job(
        *(tmp_path, "sketch", program, "render", "hero.sketch", [[1, 2, 3]]),
        {"frames": "1 3", "output_prefix": "beauty_"},
        library=Library([tmp_path / "own"]),
        # The farm wants the machine back from the first heartbeat on.
        yields=yields,
    )

    assert end(farm).outcome == outcome
    told = end(farm).message
    assert says(told, message) if isinstance(message, saying) else (message or "") in told


def test_it_may_take_the_place_of_a_built_in_one(tmp_path: Path) -> None:
    shutil.copytree(HERE / "sketch", tmp_path / "blender")

    library = Library([tmp_path])

    assert [operation for app, operation in library.available() if app == "blender"] == ["render"]
    assert library.template("blender_render").scenes == ("sketch",)
    assert BUILT_IN.template("blender_render").scenes == ("blend",)


NO_NEEDS: dict[str, object] = {"licences": False, "folders": []}


@pytest.mark.parametrize(
    "file", ["product.yaml", "program.yaml", "render.yaml", "render.farm.yaml"]
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, file: str) -> None:
    shutil.copytree(HERE / "sketch", tmp_path / "sketch")
    path = tmp_path / "sketch" / file
    content = yaml.safe_load(path.read_text())
    key = next(iter(content))
    again = yaml.safe_dump({key: content[key]})
    path.write_text(f"{path.read_text()}\n{again}")

    library = Library([tmp_path])
    with pytest.raises(ProductError) as error:
        _ = library.entries(), library.programs, library.template("sketch_render")

    assert str(path) in str(error.value)
    assert says(error.value, "key-stands-twice", key)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=str(tmp_path / "none")):
        _ = Library([tmp_path / "none"]).places


@pytest.mark.parametrize(
    ("file", "more", "where"),
    [
        ("program.yaml", {"plugins": {"inkk": [{"at": {"any": ["/opt/ink"]}}]}}, "program.yaml"),
        (
            "render.farm.yaml",
            {"needs_plugin": {"output_format": {"PNG": "inkk"}}},
            "render.farm.yaml",
        ),
        (
            "render.farm.yaml",
            {"sandbox": {"licences": False, "plugins": {"inkk": NO_NEEDS}}},
            "render.farm.yaml",
        ),
    ],
)
def test_a_plugin_that_it_does_not_offer_is_told_at_the_start(
    tmp_path: Path, file: str, more: dict[str, object], where: str
) -> None:
    shutil.copytree(HERE / "sketch", tmp_path / "sketch")
    path = tmp_path / "sketch" / file
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **more}))

    with pytest.raises(CatalogueError) as error:
        load_definitions(None, Library([tmp_path]))

    assert says(error.value, "product-has-no-such-plug-in", tmp_path / "sketch" / where, "inkk")


def test_what_comes_with_the_farm_passes_what_is_asked_of_own_products(tmp_path: Path) -> None:
    for place in BUILT_IN.places.values():
        shutil.copytree(place, tmp_path / place.name)

    assert load_definitions(None, Library([tmp_path])).products == built_in().products
