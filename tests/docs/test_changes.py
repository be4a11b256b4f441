"""Fragments of the changelog have a kind that `towncrier` knows, and say something."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_fragment_has_a_known_kind() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    kinds = {each["directory"] for each in settings["tool"]["towncrier"]["type"]}
    for file in (ROOT / "changes").iterdir():
        if file.name != "README.md":
            assert file.name.split(".")[-2] in kinds, file.name
            assert file.read_text(encoding="utf-8").strip().endswith("."), file.name
