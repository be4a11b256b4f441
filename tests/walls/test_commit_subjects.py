"""The first line of each commit fits where such lines are listed, as CONTRIBUTING.md asks."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SINCE = "2026-11-30T21:00:00Z"
"""When the rule came: commits from before may be longer. Hashes change when work lands."""
LONGEST = 72


def git(folder: Path, *words: str) -> str:
    """Return what git prints."""
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def too_long(folder: Path) -> list[str]:
    """Return the subjects of a repository's history that are longer than they may be."""
    # Dates need not ascend: without "-as-filter" the first older commit would end the list.
    since = f"--since-as-filter={SINCE}"
    subjects = git(folder, "log", "--no-merges", "--format=%s", since).splitlines()
    return [each for each in subjects if len(each) > LONGEST]


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None,
    reason="these are the sources alone, or git is not installed",
)
def test_commit_subjects_are_short() -> None:
    assert too_long(ROOT) == [], f"at most {LONGEST} characters: reword these commits"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_long_subject_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "--quiet")
    for subject, date in [
        ("a" * (LONGEST + 1), "2026-11-30T20:59:59Z"),
        ("b" * (LONGEST + 1), "2027-01-01T00:00:00Z"),
        ("c" * LONGEST, "2027-01-01T00:00:00Z"),
        ("d" * (LONGEST + 1), "2026-11-30T20:59:59Z"),
    ]:
        monkeypatch.setenv("GIT_COMMITTER_DATE", date)
        who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
        git(tmp_path, *who, "commit", "--quiet", "--allow-empty", "-m", subject)
    assert too_long(tmp_path) == ["b" * (LONGEST + 1)]
