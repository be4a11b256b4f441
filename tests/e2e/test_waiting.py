"""A wait lasts as long as something moves, and tells what it saw last."""

import itertools
import time

import pytest

from . import conftest
from .conftest import until


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "PATIENCE", 0.2)
    monkeypatch.setattr(conftest, "SEEN_SECONDS", 0.0)


def test_a_wait_goes_on_while_something_moves() -> None:
    count, end = itertools.count(), time.monotonic() + 1
    assert until(lambda: time.monotonic() > end, "the end", lambda: next(count))


def test_a_wait_fails_when_nothing_moves_and_tells_what_it_saw() -> None:
    with pytest.raises(AssertionError, match=r"(?s)the end: nothing moved.*frame 7"):
        until(lambda: False, "the end", lambda: {"job": "frame 7"})
