"""An ordinary user, whose farm is attacked: for tests that run as root."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from farm.confine import Account, borrowed, drop, is_root
from farm.confine.removal import remove_tree
from farm_protocol.runner import TOKEN_VARIABLE, JobLimits
from farm_protocol.runner import SandboxMode as Mode

from .fake_farm import TOKEN, FakeFarm
from .in_process import python_of_all


@contextmanager
def ordinary_user() -> Iterator[Account]:
    """Give an ordinary user, who can run our Python."""
    if not is_root():
        pytest.skip("only root can become somebody else")
    with borrowed() as account:
        assert account is not None
        yield account


def processes_of(uid: int) -> list[psutil.Process]:
    """Return what runs as a user."""
    return [each for each in psutil.process_iter(["uids"]) if each.info["uids"].real == uid]


@contextmanager
def nothing_left(user: Account, seconds: float) -> Iterator[None]:
    """Check that nothing of a user runs afterwards, in so many seconds; end what does."""
    try:
        yield
        until = time.monotonic() + seconds
        while (left := processes_of(user.uid)) and time.monotonic() < until:
            psutil.wait_procs(left, 0.2)
        assert left == []
    finally:
        for each in processes_of(user.uid):
            each.kill()


@contextmanager
def folder_of(user: Account) -> Iterator[Path]:
    """Give a folder that is a user's, other than those of pytest."""
    made = Path(tempfile.mkdtemp(dir="/var/tmp"))
    os.chown(made, user.uid, user.gid)
    try:
        yield made
    finally:
        remove_tree(made)


def runner_of(
    user: Account,
    folder: Path,
    farm: FakeFarm,
    before: Sequence[str] = (),
    programs: Path | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a runner of a user, for a job of the stand-in for Maya in a folder.

    Parameters:
        before: a command line in front of the one that gives up root.
        programs: a folder in which programs are looked for first.
    """
    python, variables = python_of_all()
    if programs is not None:
        variables["PATH"] = f"{programs}:{variables['PATH']}"
    line = [*before, *drop(user), python, "-m", "farm.runner", "--farm", farm.url]
    line += ["--work-dir", str(folder / "work"), "--sandbox", "auto"]
    line += ["--program", f"maya={folder / 'maya' / 'bin' / 'Render'}"]
    return subprocess.Popen(line, cwd=folder, env={**variables, TOKEN_VARIABLE: TOKEN})


@contextmanager
def holding(user: Account, code: str, count: int) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a program of a user that takes ``count`` of something and keeps it.

    Parameters:
        code: gets the count as its first argument, and prints a line when it has them.
    """
    python, _ = python_of_all()
    line = [*drop(user), python, "-c", code, str(count)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield holder
        finally:
            holder.kill()


def attack_as(
    user: Account, code: str, limits: JobLimits, sandbox: Mode = "required", claims: int = 1
) -> tuple[str, str, str]:
    """Let a farm of an ordinary user be attacked; return outcome, message and log."""
    python, variables = python_of_all()
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    os.chown(folder, user.uid, user.gid)
    told = {
        "folder": str(folder),
        "code": code,
        "limits": limits.model_dump(),
        "sandbox": sandbox,
        "claims": claims,
    }
    try:
        done = subprocess.run(
            [*drop(user), python, "-m", "runner.one_attack"],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=variables,
        )
    finally:
        remove_tree(folder)
    if "No module named" in done.stderr:
        pytest.skip("an ordinary user cannot read this project")
    assert done.stdout, done.stderr
    outcome, message, log = json.loads(done.stdout)
    return outcome, message, log
