"""What tests of sandboxes share: Python code in one, as root and as an ordinary user."""

import subprocess
from collections.abc import Sequence

import pytest
from farm.confine import Account, View, drop, is_root, prefix, probe

needs_sandbox = pytest.mark.skipif(bool(probe()), reason=probe())
needs_root = pytest.mark.skipif(not is_root(), reason="only root has rights to give up")
PYTHON = "/usr/bin/python3"


def run(line: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


class Inside:
    """A sandbox of this process, or one of an ordinary user."""

    def __init__(self, other: Account | None, of_root: bool) -> None:
        self.of_root = of_root
        self._other = other

    def __call__(self, view: View, code: str) -> "subprocess.CompletedProcess[str]":
        """Run Python code."""
        before = drop(self._other) if self._other is not None and not self.of_root else []
        line = prefix(view, self._other if self.of_root else None)
        return run([*before, *line, PYTHON, "-c", code])
