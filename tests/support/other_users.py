"""Other users of the machine, for tests that run as root."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

OTHER = 60123
"""A user id that nobody has."""
PYTHON = "/usr/bin/python3"
"""One that every user may start; that of the tests may lie in root's home folder."""

needs_others = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not shutil.which(PYTHON),
    reason="only root can be somebody else",
)


LISTEN = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.socket(family) as listener:
    # Connections of who listened here before may still be ending.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if host == "::1":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    elif host == "::":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((host, port))
    listener.listen(8)
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
    listener.setblocking(False)
    try:
        caught = listener.accept()[0]
        caught.settimeout(5)
        print("caught", caught.recv(65536))
    except OSError:
        print("nobody came")
"""


def own_address() -> str:
    """Return an address of this machine that is not its loopback; the test is skipped without."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # Sends nothing.
        except OSError:
            pytest.skip("this machine has no network")
        found = str(asking.getsockname()[0])
    if found.startswith("127."):
        pytest.skip("this machine has no address but its loopback")
    return found


@contextmanager
def started_as_other(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python code of the standard library as another user, beside the test."""
    with subprocess.Popen(
        [PYTHON, "-c", code, *arguments],
        user=OTHER,
        group=OTHER,
        extra_groups=[],
        cwd="/",
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process


@contextmanager
def stranger(host: str, port: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Another user listens; yields the port and a list that holds, afterwards, what came."""
    came: list[str] = []
    with started_as_other(LISTEN, host, str(port)) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), came
        came.append(process.communicate("")[0].strip())


HOLD = """
import socket, sys
held = [socket.socket() for _ in range(300)]
for each in held:
    # It may be cut off before it is seen to stand.
    each.connect_ex(("127.0.0.1", int(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""
"""Holds 300 connections to a port, until its input ends."""

CATCH = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    caught = listener.accept()[0]
with caught:
    print("caught", flush=True)
    sys.stdin.read()
"""


@contextmanager
def catcher() -> Iterator[tuple[int, Callable[[], None]]]:
    """Another user keeps one connection and leaves its port; yields that, and what waits for it."""
    with started_as_other(CATCH) as process:
        output = process.stdout
        assert output is not None

        def caught() -> None:
            assert output.readline() == "caught\n"

        yield int(output.readline()), caught
        process.communicate("")


def run_as_other(code: str, *arguments: str, user: int = OTHER, stdin: str = "") -> str:
    """Run Python code of the standard library as another user; returns what it prints."""
    done = subprocess.run(
        [PYTHON, "-c", code, *arguments],
        user=user,
        group=user,
        extra_groups=[],
        cwd="/",
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def python_of_everybody(folder: Path) -> Path:
    """Return a Python with what the tests import, made in a folder, that every user may start.

    The test is skipped where there can be none.
    """
    places = [path for path in sys.path if path.endswith("site-packages")]
    adding = (
        f"import site; [site.addsitedir(place) for place in {places!r}]; import pytest, farm, envoy"
    )
    done = subprocess.run(
        [PYTHON, "-c", adding],
        user=OTHER,
        group=OTHER,
        extra_groups=[],
        cwd="/",
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        pytest.skip(f"another user's {PYTHON} cannot import what is installed here: {last}")
    # An environment rather than a variable: the services start others with an interpreter's path.
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", "--symlinks", folder], check=True)
    (own,) = folder.glob("lib/python3.*/site-packages")
    lines = [f"import site; site.addsitedir({place!r})" for place in places]
    (own / "tests.pth").write_text("\n".join(lines))
    return folder / "bin" / "python"


def envoy_command(*arguments: str) -> Sequence[str]:
    """Return a command that starts this Envoy with `PYTHON`, whoever runs it."""
    places = [path for path in sys.path if path.endswith("site-packages")]
    code = (
        f"import site, sys\nfor place in {places!r}: site.addsitedir(place)\n"
        "sys.argv[0] = 'envoy'\nfrom envoy.cli.commands import main\nmain()"
    )
    return [PYTHON, "-c", code, *arguments]
