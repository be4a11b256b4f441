"""Results that the farm no longer has, and news that come in pages."""

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from envoy.journal import Journal, NewDownload
from envoy.journal.downloads import Downloads
from envoy.journal.submissions import new_entry
from envoy.process.status_messages import Reason
from envoy.process.waiting import WaitingRoom
from envoy.watch.follow import QUICK_SECONDS
from envoy_fake_farm import FakeFarm
from envoy_faults import Fault
from envoy_start import Start
from envoy_studio import Studio, settled, until
from farm_protocol.jobs import JobState
from messages import saying

OUT = "demo/render_results/out"


async def downloads(studio: Studio, submission_id: str) -> dict[str, Any]:
    told: dict[str, Any] = (await studio.of(submission_id))["downloads"]
    return told


async def test_a_waiting_download_of_a_lost_result_is_taken_back(studio: Studio) -> None:
    submission_id = await studio.submitted()
    # The folder cannot be written: both downloads wait.
    studio.results.write_text("in the way")
    for name in ("a.png", "b.png"):
        studio.farm.output(submission_id, f"{OUT}/{name}", name.encode())

    async def both_wait() -> object:
        return (await downloads(studio, submission_id))["files_total"] == 2

    await until(both_wait)
    studio.farm.lose(submission_id, f"{OUT}/a.png")
    studio.farm.lose(submission_id, f"{OUT}/never told.png")

    async def taken_back() -> object:
        told = await downloads(studio, submission_id)
        return told if told["files_failed"] else None

    told = await until(taken_back)
    assert (told["files_total"], told["files_failed"]) == (2, 1)
    studio.results.unlink()
    studio.farm.output(submission_id, f"{OUT}/c.png", b"later")
    # The others go on, and so does the feed.
    await until(lambda: (studio.results / "c.png").exists())
    await until(lambda: (studio.results / "b.png").exists())
    studio.farm.output(submission_id, f"{OUT}/d.png", b"last")
    await settled(studio, submission_id, files_done=3)
    assert not (studio.results / "a.png").exists()
    told = await downloads(studio, submission_id)
    assert told["message"] == saying("farm-no-longer", "a.png")
    results = (await studio.http.get("/envoy/projects/demo/results")).json()["results"]
    states = {each["name"].rpartition("/")[2]: each["state"] for each in results}
    here = dict.fromkeys(("b.png", "c.png", "d.png"), "downloaded")
    assert states == {"a.png": "failed", **here}


async def test_what_is_here_stays_when_the_farm_loses_it(studio: Studio) -> None:
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/a.png", b"a")
    await until(lambda: (studio.results / "a.png").exists())
    # On its way: the last bytes come after the news.
    studio.farm.faults = [Fault("GET", "/v1/blobs", "hold")]
    studio.farm.output(submission_id, f"{OUT}/b.png", b"b")
    await until(studio.farm.held.is_set)
    for name in ("a.png", "b.png"):
        studio.farm.lose(submission_id, f"{OUT}/{name}")

    async def told() -> object:
        return (await downloads(studio, submission_id))["files_failed"] == 1

    await until(told)
    studio.farm.released.set()

    async def here() -> object:
        found = await downloads(studio, submission_id)
        return found["files_done"] == 2 and not found["files_failed"] and not found["message"]

    await until(here)
    assert (studio.results / "b.png").read_bytes() == b"b"


async def test_nothing_is_completed_while_news_are_left(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while the farm has them, nor while the journal does not."""
    arrived, go_on = threading.Event(), threading.Event()
    apply = Downloads.apply

    def slowly(
        journal: Downloads,
        account: str,
        farm: str,
        farm_id: str,
        cursor: int,
        found: Sequence[NewDownload] = (),
        *more: Any,
    ) -> Any:
        if found:
            arrived.set()
            assert go_on.wait(60)
        return apply(journal, account, farm, farm_id, cursor, found, *more)

    monkeypatch.setattr(Downloads, "apply", slowly)
    submission_id = await studio.submitted()
    await until(lambda: studio.farm.is_asked_for_news)
    # Envoy waits for news. Its question after these is held: nobody knows then what that page has.
    studio.farm.page = 1
    studio.farm.faults = [Fault("GET", "/v1/changes", "hold")]
    account, submission = studio.farm.submissions[submission_id]
    done = submission.jobs[0].model_copy(update={"state": JobState.COMPLETED})
    studio.farm.feed.append((account, done))
    studio.farm.output(submission_id, f"{OUT}/a.png", b"a")

    async def progress() -> dict[str, Any]:
        told: dict[str, Any] = (await studio.http.get("/envoy/projects/demo/progress")).json()
        return told

    async def job_is_completed() -> object:
        return (await progress())["jobs"][0]["state"] == "completed"

    await until(job_is_completed)
    await until(studio.farm.held.is_set)
    assert (await progress())["state"] == "submitted"
    studio.farm.released.set()
    await until(arrived.is_set)
    assert (await progress())["state"] == "submitted"
    go_on.set()

    async def is_over() -> object:
        told = await progress()
        return told if told["state"] == "completed" else None

    assert (await until(is_over))["files_done"] == 1


def test_what_waits_makes_a_page_of_the_feed_no_dearer(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    entry = new_entry("e", "artist", "demo", [], farm="farm", output_folder="demo/out")
    journal.submissions.add(entry, [])

    def seconds(number: int) -> float:
        rows = [NewDownload("e", "/out", f"{number}/{n}", "0" * 64, 1) for n in range(1000)]
        began = time.thread_time()
        journal.downloads.apply("artist", "farm", "farm-1", number, rows)
        return time.thread_time() - began

    took = [seconds(number) for number in range(6)]
    # Without the right index they take nine times as long as the first one.
    assert min(took[4:]) < 4 * max(took[0], 0.05)
    journal.close()


async def test_what_is_told_of_another_accounts_submission_is_not_fetched(studio: Studio) -> None:
    theirs = await studio.submitted()
    other = {"Username": "other@example.com", "AccessKey": "other"}
    assert (await studio.http.post("/auth", json=other)).status_code == 200
    mine = await studio.submitted(watch_files={".+": str(studio.root / "mine")})
    # The farm mixes them up.
    _, submission = studio.farm.submissions[theirs]
    studio.farm.submissions[theirs] = ("other@example.com", submission)
    studio.farm.output(theirs, f"{OUT}/theirs.png", b"theirs")
    studio.farm.output(mine, f"{OUT}/mine.png", b"mine")
    await until((studio.root / "mine" / "mine.png").exists)
    assert (await downloads(studio, mine))["files_total"] == 1
    assert not studio.results.exists()
    await studio.sign_in()
    assert (await downloads(studio, theirs))["files_total"] == 0


async def test_what_is_told_of_another_farms_submission_is_not_fetched(start: Start) -> None:
    before = await start()
    await before.sign_in()
    first = await before.submitted()
    await start.stop()
    with FakeFarm().serving() as farm:
        after = await start(farm_url=farm.url)
        after.farm = farm
        await after.sign_in()
        second = await after.submitted(watch_files={".+": str(after.root / "after")})
        farm.submissions[first] = before.farm.submissions[first]
        farm.output(first, f"{OUT}/first.png", b"first")
        farm.output(second, f"{OUT}/second.png", b"second")
        await until((after.root / "after" / "second.png").exists)
        assert (await downloads(after, first))["files_total"] == 0
        assert not after.results.exists()
        await start.stop()


async def test_an_upload_for_another_farm_waits_for_that_one(start: Start) -> None:
    studio = await start()
    await studio.sign_in()
    studio.write("scene.blend")
    studio.farm.faults = [Fault("PUT", "/v1/blobs/", "hold")]
    submission_id = await studio.submit()
    await until(studio.farm.held.is_set)
    await start.stop()
    studio.farm.released.set()
    with FakeFarm().serving() as farm:
        after = await start(farm_url=farm.url)
        after.farm = farm
        await after.sign_in()
        await after.submitted()
        told = await after.of(submission_id)
        assert (told["state"], told["reason"]) == ("uploading", Reason.OTHER_FARM)
        assert submission_id not in farm.submissions
        await start.stop()
    again = await start()
    await again.sign_in()
    await again.until_state(submission_id, "submitted")


async def test_a_farm_that_does_not_wait_is_asked_with_pauses(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    await studio.submitted()
    pauses: list[float] = []

    async def pause(self: WaitingRoom, seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.Event().wait()

    monkeypatch.setattr(WaitingRoom, "pause", pause)
    monkeypatch.setattr("envoy.watch.follow.WAIT_SECONDS", 0.0)
    # The one that is being held ends.
    studio.farm.emit("nobody@example.com", studio.farm.feed[0][1])
    await until(lambda: pauses)
    assert pauses == [QUICK_SECONDS]
