"""Sandboxes to run code in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.confine import borrowed, is_root, probe

from .sandboxes import PYTHON, Inside


@pytest.fixture(params=["as root", "as a user"])
def inside(request: pytest.FixtureRequest) -> Iterator[Inside]:
    if probe():
        pytest.skip(probe())
    if not Path(PYTHON).exists():
        pytest.skip(f"needs {PYTHON}")
    of_root = request.param == "as root"
    if of_root and not is_root():
        pytest.skip("only root has rights to give up")
    with borrowed() as other:
        yield Inside(other, of_root)
