"""Results of a hostile or broken farm: one that is wrong spoils none of the others."""

import time

import hostile_answers as answers
import pytest
from envoy.process.status_messages import Reason
from envoy_faults import Fault
from envoy_studio import Studio, settled, until, waits_for
from farm_protocol.backoff import BackOff
from hostile_answers import ALWAYS, OUT, page, row
from messages import saying, says

# What the rows say


BAD: dict[str, dict[str, object]] = {
    "size of 64 bits": {"size": 2**63},
    "size of many bits": {"size": 10**400},
    "negative size": {"size": -1},
    "size that is a text": {"size": "many"},
    "size that is no number": {"size": float("nan")},
    "no hash": {"hash": "x"},
    "a path as a hash": {"hash": "../../v1/me"},
    "frame of many bits": {"frame": 2**64},
    "no time": {"created_at": "yesterday"},
    "a list as a job": {"job_id": ["x"]},
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_row_is_one_failed_download_and_the_others_come(
    studio: Studio, kind: str
) -> None:
    submission_id = await studio.submitted()
    bad = row(submission_id, "bad.png", **BAD[kind])
    useless = [row(submission_id, "x", submission_id=None), row(submission_id, "y", path=3), 7, []]
    cursor = len(studio.farm.feed)
    told = answers.told(page(bad, *useless, jobs=[7, {"id": "x"}], cursor=cursor))
    studio.farm.faults = [Fault("GET", "/v1/changes", told, 1)]
    studio.farm.output(submission_id, f"{OUT}/first.png", b"pixels")
    await until(lambda: told.calls)
    studio.farm.output(submission_id, f"{OUT}/good.png", b"pixels")
    downloads = await settled(studio, submission_id, files_done=2, files_failed=1)
    assert says(downloads["message"], "result-refused-farm-gave-invalid")
    assert downloads["reason"] == Reason.REFUSED
    assert f"{OUT}/bad.png" in downloads["message"]


async def test_sizes_that_have_no_sum_are_counted(studio: Studio) -> None:
    submission_id = await studio.submitted()
    for number in range(3):
        studio.farm.output(submission_id, f"{OUT}/{number}", b"x", size=2**63 - 1)
    downloads = await settled(studio, submission_id, files_failed=3)
    assert downloads["bytes_total"] > 2**63


async def test_a_cursor_that_stands_still_is_not_asked_without_pause(studio: Studio) -> None:
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    same = answers.told(page(row(submission_id, "other/f.png"), cursor=1, more=True))
    studio.farm.faults = [Fault("GET", "/v1/changes", same, ALWAYS)]
    studio.farm.output(submission_id, f"{OUT}/g.png", b"pixels")
    await waits_for(studio, saying("farm-keeps-sending-same-changes"))
    assert (await studio.activity())["waits_for"] == Reason.FARM_TROUBLE
    calls, began = same.calls, time.monotonic()
    await until(lambda: same.calls > calls + 1)
    assert time.monotonic() - began > 1
    studio.farm.faults = []
    studio.farm.output(submission_id, f"{OUT}/h.png", b"pixels")
    await until((studio.results / "h.png").exists)


# What the bytes are


@pytest.mark.parametrize("kind", ["endless", "packed", "short", "error without end"])
async def test_bytes_that_are_not_those_announced_fail_one_result(
    studio: Studio, kind: str
) -> None:
    submission_id = await studio.submitted()
    answer = {
        "endless": lambda: answers.endless(b"x" * 65536),
        "packed": lambda: answers.packed(b"x" * 10_000_000),
        "short": lambda: answers.raw(b"x"),
        "error without end": lambda: answers.endless(status=404),
    }[kind]()
    name = "1" * 64
    studio.farm.faults = [Fault("GET", f"/v1/blobs/{name}", answer, ALWAYS)]
    studio.farm.output(submission_id, f"{OUT}/bad.png", b"pixels", blob_hash=name)
    studio.farm.output(submission_id, f"{OUT}/good.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    if kind in ("endless", "short"):
        downloads = await settled(studio, submission_id, files_failed=1)
        assert says(downloads["message"], "cannot-downloaded", "bad.png")
    else:
        await waits_for(studio, saying("not-downloaded-yet", "bad.png"))
    assert [path.name for path in studio.results.iterdir()] == ["good.png"]


async def test_results_that_drip_do_not_hold_up_the_others(hurried: None, studio: Studio) -> None:
    submission_id = await studio.submitted()
    names = [f"{number}" * 64 for number in range(8)]
    studio.farm.faults = [
        Fault("GET", f"/v1/blobs/{name}", answers.dripping(), ALWAYS) for name in names
    ]
    for name in names:
        studio.farm.output(submission_id, f"{OUT}/{name[0]}", b"x" * 10**6, blob_hash=name)
    for number in range(20):
        studio.farm.output(submission_id, f"{OUT}/good/{number}.png", b"%d" % number)
    await settled(studio, submission_id, files_done=20)
    await waits_for(studio, saying("not-downloaded-yet"))
    studio.farm.faults = []
    # Nothing was given up: the others would come as well, were they what they should be.
    await settled(studio, submission_id, files_done=20, files_failed=8)


async def test_a_result_that_fails_on_the_farm_comes_when_it_works_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envoy.watch.download.LATER", BackOff(0.1, 0.1))
    submission_id = await studio.submitted()
    studio.farm.faults = [Fault("GET", "/v1/blobs/", "internal", 8)]
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    assert (await studio.activity())["waiting_for"] == ""
