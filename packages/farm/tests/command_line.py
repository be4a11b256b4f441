"""The command ``farm`` without a process of its own, which would take seconds to import it.

`cli/test_farm_command.py` starts it as users do.
"""

import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.cli import app
from typer.testing import CliRunner


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def farm(folder: Path, *arguments: str, given: str = "") -> Done:
    """Execute a command that looks into the farm of a data folder.

    Parameters:
        given: what is typed; a command that wants more than this line fails.
    """
    done = CliRunner().invoke(app, [*arguments, "--data-dir", str(folder)], input=f"{given}\n")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def ended(process: "subprocess.Popen[Any]", number: int = signal.SIGTERM) -> int:
    """End a farm that runs as a process, and close its pipes; return its exit code."""
    with process:
        process.send_signal(number)
        return process.wait(60)


def read(folder: Path, *arguments: str) -> Any:
    """Return what a command prints for programs."""
    done = farm(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
