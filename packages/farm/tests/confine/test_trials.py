"""What is taken for "it does not work here", and what may pass: real programs that fail."""

import errno
import os
import subprocess
from pathlib import Path

import pytest
from farm.confine import UndecidedError, drop, trial, trials
from runner.in_process import python_of_all
from runner.somebody import ordinary_user


def shell(code: str) -> list[str]:
    return ["/bin/sh", "-c", code]


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_PAUSES", (0.0, 0.0))


def test_a_program_that_ends_well_works() -> None:
    assert trial(["true"], "trouble") == ""


@pytest.mark.parametrize(
    "line",
    [["false"], ["/nonexistent"], shell("echo 'Operation not permitted' >&2; exit 1")],
)
def test_a_program_that_fails_does_not_work(line: list[str]) -> None:
    assert trial(line, "trouble").startswith("trouble: ")


@pytest.mark.parametrize(
    "code",
    [
        *(
            f"echo 'made up: {os.strerror(number)}' >&2; exit 1"
            for number in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC)
        ),
        "echo 'sh: 1: Cannot fork' >&2; exit 2",
        "echo 'sh: 1: Pipe call failed' >&2; exit 2",
        "echo 'bwrap: prctl(PR_SET_SECCOMP): Unknown error 524' >&2; exit 1",
        "kill -SEGV $$",
        "exit 137",
    ],
)
def test_what_may_pass_is_undecided(code: str) -> None:
    with pytest.raises(UndecidedError):
        trial(shell(code), "trouble")


def test_what_passes_is_tried_again(tmp_path: Path) -> None:
    there = tmp_path / "there"
    assert trial(shell(f"test -e {there} || {{ : > {there}; kill -9 $$; }}"), "trouble") == ""


def test_messages_of_other_languages_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.setenv(name, "de_DE.UTF-8")
    assert trial(shell('test "$LC_ALL" = C.UTF-8 && test -z "$LANGUAGE"'), "trouble") == ""


# Nothing that is learned while there is no room is kept: not that there is no sandbox, nor that
# bubblewrap lacks an option, that namespaces do not nest, or that the kernel knows no filters.
LEARN = """
import resource, subprocess
from farm.confine import UndecidedError, View, prefix, probe
from farm.confine import trials

trials._PAUSES = (0.0,)
soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
for most in range(1, 7):
    resource.setrlimit(resource.RLIMIT_NPROC, (most, hard))
    try:
        print(most, probe() or "works")
    except UndecidedError:
        print(most, "undecided")
resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
assert probe() == "", probe()
line = " ".join(prefix(View(small_bytes=1 << 20), None))
print(all(each in line for each in ("--disable-userns", "--seccomp", "--kill-child", "--size")))
"""


@pytest.mark.skipif(bool(trial(["bwrap", "--version"], "")), reason="needs bubblewrap")
def test_nothing_that_is_learned_without_processes_is_kept() -> None:
    python, variables = python_of_all()
    with ordinary_user() as user:
        line = [*drop(user), python, "-c", LEARN]
        done = subprocess.run(
            line, env=variables, cwd="/", timeout=120, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    *learned, kept = done.stdout.splitlines()
    assert kept == "True"
    assert "1 undecided" in learned
    assert all(each.endswith((" undecided", " works")) for each in learned)
