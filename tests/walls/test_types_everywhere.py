"""mypy reads all tests, as CONTRIBUTING.md says, but for what a renderer's own Python executes."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MYPY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
TESTS = {
    each.relative_to(ROOT)
    for folder in ("tests", "tools", "bench", "packages/*/tests")
    for found in ROOT.glob(folder)
    for each in found.rglob("*.py")
}


def test_every_folder_of_tests_is_read() -> None:
    read = {each for each in TESTS if any(each.is_relative_to(name) for name in MYPY["files"])}
    assert TESTS - read == set()


def test_only_what_a_renderer_executes_is_left_out() -> None:
    left_out = [
        each
        for each in TESTS
        if any(re.search(pattern, each.as_posix()) for pattern in MYPY["exclude"])
    ]
    assert left_out
    for each in left_out:
        assert re.search(r"^\s*import (bpy|hou)\b", (ROOT / each).read_text("utf-8"), re.MULTILINE)
