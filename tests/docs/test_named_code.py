"""The files, folders and names of our code that the pages for developers name are there."""

import os
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
_QUOTED = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"\w(?:[\w./-]*\w)?\.(?:md|py|sh|toml|yaml)")
_FOLDER = re.compile(r"[a-z][\w-]*(?:/[\w-]+)+/?")
_NAME = re.compile(r"(?:envoy|farm|farm_protocol|gridmarkets|http_gate)(?:\.\w+)+")
_DATA = re.compile(r".*\.(?:example|json|sqlite)")
"""What looks like a name of our code: files that a farm writes, and hosts."""


def _paths() -> Iterator[str]:
    """Yield every file and folder of the repository, with a slash before it."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [each for each in folders if not each.startswith((".", "__"))]
        for each in (*folders, *files):
            yield f"/{Path(folder, each).relative_to(ROOT).as_posix()}"


PATHS = list(_paths())


def is_there(text: str) -> bool:
    """Return whether a quoted text names something that is there, or nothing of ours at all.

    Pages leave out the beginning of a path that their readers know: `farm/main.py`.
    """
    if _NAME.fullmatch(text) and not _DATA.fullmatch(text):
        try:
            pkgutil.resolve_name(text)
        except (ImportError, AttributeError):
            return any(each.endswith(f"/{text}") for each in PATHS)
    elif _FILE.fullmatch(text) or _FOLDER.fullmatch(text):
        return any(each.endswith(f"/{text.rstrip('/')}") for each in PATHS)
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    named = _QUOTED.findall(page.read_text(encoding="utf-8"))
    assert [each for each in named if not is_there(each)] == []


@pytest.mark.parametrize("page", PAGES[2:], ids=lambda page: page.name)
def test_each_decision_says_whether_it_is_in_force(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert page.name == "index.md" or lines[2].startswith("Status: "), lines[:3]


@pytest.mark.parametrize(
    "text",
    ["farm/never.py", "_nuke.py", "products/_never/", "farm.jobs.never", "farm.main.never"],
)
def test_what_is_gone_is_found(text: str) -> None:
    assert not is_there(text)


@pytest.mark.parametrize(
    "text",
    ["farm/main.py", "plan.py", "runner/results", "farm.scheduler.plan", "farm.sqlite", "1 frame"],
)
def test_what_is_there_or_is_not_ours_is_left_alone(text: str) -> None:
    assert is_there(text)
