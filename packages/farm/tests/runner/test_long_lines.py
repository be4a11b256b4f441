"""Lines of a renderer that never end, or are made to be searched for long."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from farm.products import BUILT_IN, SHARED
from farm.runner.claim.verdict import condemn

GUARD_SECONDS = 10
"""Far above what it takes, far below what the square of a line's length would."""

BEGINNINGS = ["Rendering image", "Camera ", "A license for ", "Error: ", "R90000 ", " ", "1", "@"]


@pytest.mark.parametrize(("app", "operation"), BUILT_IN.available())
def test_no_line_is_searched_for_long(app: str, operation: str) -> None:
    template = BUILT_IN.load(app, operation)
    assert template is not None
    begin = time.process_time()
    for text in BEGINNINGS:
        for _ in range(20):
            condemn(text * (64_000 // len(text)), template.symptoms)
    assert time.process_time() - begin < GUARD_SECONDS


def test_a_program_that_never_ends_its_line_is_driven_to_its_end(tmp_path: Path) -> None:
    program = tmp_path / "endless"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "for _ in range(640):\n"
        "    sys.stdout.write('Rendering image' * 4400)\n"
        "print()\n"
        "print('Frame 3 (1 of 1)')\n"
    )
    program.chmod(0o755)
    for folder in ("partial", "output"):
        (tmp_path / folder).mkdir()
    (tmp_path / "partial" / "a.0003.exr").write_bytes(b"x")
    orders = {
        "program": str(program),
        "setup": "",
        "runs": [{"arguments": [], "frames": [3]}],
        "files": {"3": [[["a.0003.exr"], "b.0003.exr"]]},
        "stems": {},
        "started": "",
        "written": r"^Frame (?P<frame>-?[0-9]+) \(",
        "writing": "",
        "progress": "Rendering image.{0,200}: +(?P<percent>[0-9]+)%",
        "size": None,
        "folders": False,
        "environment": {},
        "warnings": [],
        "copy": None,
        "partial": str(tmp_path / "partial"),
        "output": str(tmp_path / "output"),
    }
    (tmp_path / "orders.json").write_text(json.dumps(orders))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, SHARED / "drive.py", f"--orders={tmp_path}/orders.json"],
        env={"FARM_PARENT": str(os.getpid())},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=150,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert (tmp_path / "output" / "b.0003.exr").read_bytes() == b"x"
    assert '"event": "frame_written"' in done.stdout
    assert after.ru_utime - before.ru_utime < 3 * GUARD_SECONDS
