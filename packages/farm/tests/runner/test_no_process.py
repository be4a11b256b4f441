"""A renderer for which the machine has no process left."""

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest
from messages import says
from openjd.sessions import _subprocess

from .test_limits import attack


def test_why_a_renderer_could_not_be_started_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(_subprocess, "Popen", fails)

    (finish,) = attack(tmp_path, "print('started')", "off", None).finishes.values()

    assert says(finish.message, "renderer-could-not-started-hint")
    assert os.strerror(errno.EAGAIN) in finish.message
