"""``python -m runner.copy_jobs FOLDER PRODUCT SANDBOX``: a job whose scene's reader makes a copy.

Its program prints the copy, and its project has a file of the name that a copy would have by
itself. Standard output: what the job logged, in JSON.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from farm_protocol.hashing import hash_file
from farm_protocol.runner import SandboxMode as Mode
from pydantic import JsonValue
from stand_ins.scenes import write_scene

from .fake_farm import FakeFarm
from .in_process import run_job

REMAP = "<RemapPaths><RemapItem><From>x</From><To>/show/y</To></RemapItem></RemapPaths>"
VERSIONS = {"nuke": "15.1v3", "vray": "V-Ray Standalone, version 6.20.01 for x64"}
PRINTS = """#!/bin/sh
case "$*" in *-version*) echo "{}"; exit;; esac
for each in "$@"; do
  case "$each" in *.nk) /bin/cat "$each";; -remapPathFile=*) /bin/cat "${{each#*=}}";; esac
done
"""
ASSET = "the bytes of an asset\n"


def copy_job(
    folder: Path,
    product: str,
    sandbox: Mode,
    work_with: Callable[[FakeFarm], None] | None = None,
) -> FakeFarm:
    """Run such a job; return the farm that was told of it."""
    project = folder / "project"
    project.mkdir()
    scene = write_scene(project, product)
    params: dict[str, JsonValue] = {"frames": "1 1"}
    copied = scene
    if product == "vray":
        copied = project / "remap.xml"
        copied.write_text(REMAP)
        params["remap_file"] = "show/remap.xml"
    copied.with_name(f".farm-{copied.name}").write_text(ASSET)
    program = program_of(folder, product)
    return run_job(
        *(folder, product, program, "render", scene.name, [[1]], params),
        sandbox=sandbox,
        work_with=work_with,
    )


def program_of(folder: Path, product: str) -> Path:
    """Return where its program lies."""
    program = folder / "app" / product
    if not program.exists():
        program.parent.mkdir()
        program.write_text(PRINTS.format(VERSIONS[product]))
        program.chmod(0o755)
    return program


def changed_blobs(store: Path) -> list[str]:
    """Return what of a store is not what its name says."""
    blobs = [each for each in store.glob("*/*") if each.is_file()]
    assert len(blobs) > 1
    return [each.read_text() for each in blobs if hash_file(each)[0] != each.name]


if __name__ == "__main__":
    mode: Mode = "required" if sys.argv[3] == "required" else "off"
    print(json.dumps(copy_job(Path(sys.argv[1]), sys.argv[2], mode).log))
