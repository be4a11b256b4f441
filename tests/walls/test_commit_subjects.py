"""The first line of each commit fits where such lines are listed, as CONTRIBUTING.md asks."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SINCE = "5e5c7df7643e2a7165a19b96422aefa679253617"
"""The commit that brought the rule: those before it may be longer."""
LONGEST = 72


def git(*words: str, folder: Path = ROOT) -> str:
    """Return what git prints, or skip the test where it fails: it then has no such history."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("git is not installed")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the history since {SINCE[:12]} is not here: {error.stderr.strip()}")
    return done.stdout


def too_long(subjects: Iterable[str]) -> list[str]:
    """Return the subjects that are longer than they may be."""
    return [each for each in subjects if len(each) > LONGEST]


def test_commit_subjects_are_short() -> None:
    git("merge-base", "--is-ancestor", SINCE, "HEAD")
    subjects = git("log", "--no-merges", "--format=%s", f"{SINCE}..HEAD").splitlines()
    assert too_long(subjects) == [], f"at most {LONGEST} characters: reword these commits"


def test_a_long_subject_is_found() -> None:
    assert too_long(["x" * LONGEST, "y" * (LONGEST + 1)]) == ["y" * (LONGEST + 1)]
