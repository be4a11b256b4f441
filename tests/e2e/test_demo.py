"""The README's first command."""

import subprocess
import sys
from pathlib import Path

import psutil

from .conftest import ROOT


def test_the_demo_ends_with_the_results_and_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "demo.py"), "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "my_results"
    assert done.stdout.splitlines()[-1] == f"results: {results}"
    assert len(list(results.glob("frame_*.png"))) == 24
    lines = [
        " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
    ]
    assert not [line for line in lines if str(tmp_path) in line]
