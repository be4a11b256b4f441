"""Renderers that print faster than the runner takes their lines."""

import threading
import time
from pathlib import Path

import pytest
from farm.runner.claim.rendering import Rendering
from waiting import until

from .test_limits import attack


def test_a_renderer_that_prints_faster_than_its_lines_are_taken_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has printed would fill the runner's memory otherwise."""
    program = """
for number in range(600):
    print("x" * 60_000, flush=True)
    open("printed", "w").write(str(number + 1))
"""
    taken = threading.Event()
    counts = []

    def line_slowly(self: Rendering, line: str) -> None:
        taken.wait(60)
        counts.append(len(line))

    def printed() -> str:
        """Return how many lines the program has printed."""
        return next((each.read_text() for each in (tmp_path / "work").rglob("printed")), "")

    def halted() -> bool:
        before = printed()
        time.sleep(0.5)
        return bool(before) and printed() == before

    def watch() -> None:
        try:
            until(halted)
            halted_at.append(int(printed()))
        finally:
            taken.set()

    halted_at: list[int] = []
    monkeypatch.setattr(Rendering, "line", line_slowly)
    watching = threading.Thread(target=watch)
    watching.start()
    attack(tmp_path, program, "off", None)
    watching.join()
    assert halted_at[0] < 600
    assert sum(counts) >= 600 * 60_000, (len(counts), halted_at, sorted(set(counts))[-5:])
