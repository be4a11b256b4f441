"""What a runner knows is not for the renderers of the same account."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from farm.confine import borrowed, drop, is_root
from waiting import until

from .in_process import python_of_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows processes so")

NAMES = ("environ", "mem", "maps")
PEEP = """
import sys
for name in ("environ", "mem", "maps"):
    try:
        with open(f"/proc/{sys.argv[1]}/{name}", "rb") as file:
            print(name, name == "mem" or bool(file.read(1)))
    except OSError as error:
        print(name, type(error).__name__)
"""


@pytest.fixture
def as_user() -> Iterator[list[str]]:
    """The command line in front of one that is an ordinary user's."""
    if not is_root():
        yield []
        return
    with borrowed() as account:
        assert account is not None
        yield drop(account)


@pytest.fixture
def looks(as_user: list[str]) -> Iterator[Callable[[list[str]], Callable[[], list[str]]]]:
    """Start programs of an ordinary user; return what another one finds in them."""
    python, variables = python_of_all()
    with contextlib.ExitStack() as stack:

        def start(arguments: list[str]) -> Callable[[], list[str]]:
            process = stack.enter_context(
                subprocess.Popen(
                    [*as_user, python, *arguments], stdin=subprocess.PIPE, cwd="/", env=variables
                )
            )
            stack.callback(process.kill)

            def found() -> list[str]:
                assert process.poll() is None
                line = [*as_user, python, "-c", PEEP, str(process.pid)]
                return subprocess.run(
                    line, capture_output=True, text=True, check=True
                ).stdout.splitlines()

            return found

        yield start


def test_another_program_of_the_same_user_cannot_read_a_runners_memory(
    looks: Callable[[list[str]], Callable[[], list[str]]], tmp_path: Path
) -> None:
    # Any other program can be looked at, or this test would tell nothing.
    other = looks(["-c", "import sys; sys.stdin.read()"])
    until(lambda: other() == [f"{name} True" for name in NAMES])
    # It waits to be told where its farm is.
    runner = looks(["-m", "farm.runner", "--work-dir", str(tmp_path)])
    until(lambda: runner() == [f"{name} PermissionError" for name in NAMES])
