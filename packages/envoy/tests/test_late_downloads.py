"""Downloads that do not come at once: of a farm that fails, or into a folder that hangs."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import farm_protocol.inside
import pytest
from envoy.watch.download import MOST_FAILURES, PARALLEL
from envoy_faults import Fault
from envoy_studio import Studio, settled, until
from farm_protocol.backoff import BackOff
from messages import says

OUT = "demo/render_results/out"


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """When the disk of each folder "stuck" answers again."""
    monkeypatch.setattr("envoy.watch.download.STANDS_SECONDS", 0.2)
    works = threading.Event()
    real = farm_protocol.inside._open_folder

    def slow(root: Path, *args: Any, **kwargs: Any) -> Any:
        if root.name == "stuck":
            works.wait()
        return real(root, *args, **kwargs)

    monkeypatch.setattr(farm_protocol.inside, "_open_folder", slow)
    yield works
    works.set()


async def until_there(folder: Path, count: int) -> None:
    """Wait until a folder has so many results."""
    await until(lambda: folder.exists() and len(list(folder.glob("[0-9]*"))) == count)


async def test_a_folder_that_does_not_answer_holds_up_itself_alone(
    studio: Studio, works: threading.Event
) -> None:
    stuck, free = studio.root / "stuck", studio.root / "free"
    first = await studio.submitted(watch_files={".+": str(stuck)})
    second = await studio.submitted(watch_files={".+": str(free)})
    for submission in (first, second):
        for number in range(12):
            studio.farm.output(submission, f"{OUT}/{number}", b"pixels")
    await until_there(free, 12)
    assert says((await studio.activity())["waiting_for"], "disk-does-not-answer", stuck)
    works.set()
    await until_there(stuck, 12)

    async def quiet() -> object:
        return (await studio.activity())["waiting_for"] == ""

    await until(quiet)
    # Others have worked in the place of those that hung: together they are no more than before.
    holds = Fault("GET", "/v1/blobs/", "hold", times=12)
    studio.farm.faults = [holds]
    for number in range(12):
        studio.farm.output(second, f"{OUT}/{number}", b"pixels again")
    await until(lambda: holds.times <= 12 - PARALLEL)
    for _ in range(20):
        await studio.activity()
    assert holds.times == 12 - PARALLEL
    studio.farm.released.set()


async def test_failures_of_a_result_count_until_it_has_come(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    class Noted(BackOff):
        def spread(self, failures: int, part: float) -> float:
            counts.append(failures)
            return 0.0

    monkeypatch.setattr("envoy.watch.download.LATER", Noted(0.1, 0.1))
    submission = await studio.submitted()
    for data in (b"first", b"other"):
        failing = Fault("GET", "/v1/blobs/", "internal", times=2 * MOST_FAILURES)
        studio.farm.faults = [failing]
        studio.farm.output(submission, f"{OUT}/f.png", data)
        target = studio.results / "f.png"
        await until(lambda: target.exists() and target.read_bytes() == data)  # noqa: B023
        await settled(studio, submission, files_done=1)
    assert counts == [1, 2, 1, 2]
