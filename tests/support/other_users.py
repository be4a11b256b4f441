"""Other users of the machine, for tests that run as root."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

OTHER = 60123
"""A user id that nobody has."""
PYTHON = "/usr/bin/python3"
"""One that every user may start; that of the tests may lie in root's home folder."""

needs_others = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not shutil.which(PYTHON),
    reason="only root can be somebody else",
)


def run_as_other(code: str, *arguments: str, user: int = OTHER) -> str:
    """Run Python code of the standard library as another user; returns what it prints."""
    done = subprocess.run(
        [PYTHON, "-c", code, *arguments],
        user=user,
        group=user,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def envoy_command(*arguments: str) -> Sequence[str]:
    """Return a command that starts this Envoy with `PYTHON`, whoever runs it."""
    places = [path for path in sys.path if path.endswith("site-packages")]
    code = (
        f"import site, sys\nfor place in {places!r}: site.addsitedir(place)\n"
        "sys.argv[0] = 'envoy'\nfrom envoy.cli import main\nmain()"
    )
    return [PYTHON, "-c", code, *arguments]
