"""One account whose scenes name very much, in projects that have very much, while others work."""

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from farm_protocol.path_maps import MOST_RULES, path_map_of
from messages import saying

from .conftest import Farm, send, spec
from .runners import job_of, wait_for

NAMES = 3000
FILES = 20_000
AT_A_TIME = 5000
MAKER = f"""
import bpy, os, sys
for name, source, path in (
    ("mapped", "FILE", "/a/" + "x/" * 300 + "{{}}.png"),
    ("frames", "SEQUENCE", "//t/x{{}}_0001.png"),
    ("tiles", "TILED", "//t/{{}}.<UDIM>.png"),
):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for number in range({NAMES}):
        image = bpy.data.images.new(f"i{{number}}", 1, 1)
        image.source = source
        image.filepath = path.format(number)
        image.use_fake_user = True
    target = os.path.join(sys.argv[-1], name + ".blend")
    bpy.ops.wm.save_as_mainfile(filepath=target, compress=True, relative_remap=False)
"""


@pytest.fixture
def database_url() -> None:
    """None of this depends on the database: SQLite is enough."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scenes that name thousands of images."""
    if shutil.which("blender") is None:
        pytest.skip("needs blender on the PATH")
    folder = tmp_path_factory.mktemp("hostile")
    options = ["--python-exit-code", "3", "--python-expr", MAKER, "--", str(folder)]
    subprocess.run(
        ["blender", "-b", "--factory-startup", *options], check=True, capture_output=True
    )
    return folder


def many_files(client: httpx.Client, name: str, data: bytes) -> None:
    """Put a file into a project, under very many names of one folder."""
    entry = send(client, "demo/t/first.png", data)
    for first in range(0, FILES, AT_A_TIME):
        paths = [f"demo/t/{name.format(n)}" for n in range(first, first + AT_A_TIME)]
        body = {"files": [entry | {"path": path} for path in paths]}
        client.put("/v1/projects/demo/files", json=body).raise_for_status()


def wide_map() -> bytes:
    """Return a map that has very many places for one folder."""
    rule = {"source_path_format": "POSIX", "source_path": "/a"}
    rules = [rule | {"destination_path": f"demo/{n}"} for n in range(MOST_RULES)]
    return json.dumps({"rules": rules}).encode()


@pytest.mark.parametrize("missing_files", ["warn"])
@pytest.mark.parametrize("kind", ["mapped", "frames", "tiles"])
def test_names_times_files_keep_nobody_elses_scenes_waiting(
    farm: Farm, hostile: Path, kind: str
) -> None:
    greedy, other = farm.user("greedy@example.com"), farm.user("ann@example.com")
    if kind != "mapped":
        many_files(greedy, "y{}_0001.png" if kind == "frames" else "{}_1001.png", b"a picture")
    scene = (hostile / f"{kind}.blend").read_bytes()
    for name in ("one", "two"):  # As many as are looked at a time.
        path = f"demo/{name}.blend"
        if kind == "mapped":
            send(greedy, path_map_of(path), wide_map())
        send(greedy, path, scene)
    for name in ("one", "two"):
        path = f"demo/{name}.blend"
        greedy.post("/v1/submissions", json=spec(path=path)).raise_for_status()
    send(other, "demo/scene.blend", b"BLENDER-v304 and then nothing")
    other.post("/v1/submissions", json=spec()).raise_for_status()
    wait_for(other, lambda job: job["warnings"] != [])
    wait_for(greedy, lambda job: job["warnings"] != [])
    told = job_of(greedy)["warnings"]
    assert len(told) == 11
    assert told[-1] == saying("more-files-missing", NAMES - 10)
