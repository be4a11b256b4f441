"""An ordinary user, whose farm is attacked: for tests that run as root."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from farm.confine import Account, borrowed, drop, is_root
from farm.confine.removal import remove_tree
from farm_protocol.runner import JobLimits
from farm_protocol.runner import SandboxMode as Mode

from .in_process import python_of_all


@contextmanager
def ordinary_user() -> Iterator[Account]:
    """Give an ordinary user, who can run our Python."""
    if not is_root():
        pytest.skip("only root can become somebody else")
    with borrowed() as account:
        assert account is not None
        yield account


def attack_as(
    user: Account, code: str, limits: JobLimits, sandbox: Mode = "required"
) -> tuple[str, str, str]:
    """Let a farm of an ordinary user be attacked; return outcome, message and log."""
    python, variables = python_of_all()
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    os.chown(folder, user.uid, user.gid)
    told = {"folder": str(folder), "code": code, "limits": limits.model_dump(), "sandbox": sandbox}
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
