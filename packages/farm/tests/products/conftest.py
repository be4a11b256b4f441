"""A scene of Houdini for each test that asks for one."""

from pathlib import Path

import pytest

from .houdini_rig import Houdini


@pytest.fixture
def houdini(tmp_path: Path) -> Houdini:
    """A project folder with one scene, and the way to render it."""
    return Houdini(tmp_path)
