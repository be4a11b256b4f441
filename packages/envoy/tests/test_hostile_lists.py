"""What a hostile or broken farm lists has an end, and so has each text in it."""

import envoy.farm.answers
import hostile_answers as answers
import pytest
from envoy_fake_farm import Fault
from envoy_studio import Studio, waits_for
from hostile_answers import ALWAYS, OUT, page, row


async def test_a_list_that_does_not_end_is_an_error(studio: Studio) -> None:
    submission_id = await studio.submitted()
    for rows in ([], [row(submission_id, "a")], [row(submission_id, "b"), row(submission_id, "a")]):
        same = answers.told({"outputs": rows, "more": True})
        studio.farm.faults = [Fault("GET", "/v1/jobs/", same, ALWAYS)]
        answer = await studio.http.get("/envoy/projects/demo/results")
        assert answer.status_code == 502
        assert "never ends" in answer.json()["message"]
        assert same.calls <= 2


async def test_a_list_of_files_that_does_not_end_is_an_error(studio: Studio) -> None:
    await studio.submitted()
    entry = {"path": "demo/a", "hash": "0" * 64, "size": 1, "mtime_ns": 1}
    for rows in ([], [entry], [entry | {"path": "demo/b"}, entry]):
        same = answers.told({"files": rows, "more": True})
        studio.farm.faults = [Fault("GET", "/v1/projects/demo/files", same, ALWAYS)]
        answer = await studio.http.get("/project/demo/Files")
        assert "never ends" in answer.text
        assert same.calls <= 2


LISTS = {
    "outputs": ("/v1/jobs/", "/envoy/projects/demo/results", row("s", "f.png")),
    "files": (
        "/v1/projects/demo/files",
        "/project/demo/Files",
        {"path": "demo/a", "hash": "0" * 64, "size": 1, "mtime_ns": 1},
    ),
}


@pytest.mark.parametrize("kind", LISTS)
async def test_a_path_in_a_list_has_a_length(studio: Studio, kind: str) -> None:
    await studio.submitted()
    asked, path, entry = LISTS[kind]
    rows = [{**entry, "path": "/".join(["demo"] + ["p" * 200] * 21)}]
    studio.farm.faults = [Fault("GET", asked, answers.told({kind: rows}), ALWAYS)]
    answer = await studio.http.get(path)
    assert answer.status_code == 502
    assert "is not understood" in answer.json()["message"]


@pytest.mark.parametrize("kind", LISTS)
async def test_a_list_has_so_many_bytes_at_most(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(envoy.farm.answers, "LISTED_BYTES", 100_000)
    await studio.submitted()
    asked, path, entry = LISTS[kind]
    pages = [
        answers.told({kind: [{**entry, "path": f"demo/{n}"}], "more": True, "x": "x" * 30_000})
        for n in range(9)
    ]
    studio.farm.faults = [Fault("GET", asked, page, 1) for page in pages]
    answer = await studio.http.get(path)
    assert answer.status_code == 502
    assert "larger than 100000 bytes" in answer.json()["message"]
    assert sum(page.calls for page in pages) == 4


async def test_that_holds_for_the_results_of_all_jobs_together(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy.farm.answers, "LISTED_BYTES", 100_000)
    for _ in range(4):
        await studio.submitted()
    each = answers.told({"outputs": [], "x": "x" * 30_000})
    studio.farm.faults = [Fault("GET", "/v1/jobs/", each, ALWAYS)]
    answer = await studio.http.get("/envoy/projects/demo/results")
    assert (answer.status_code, each.calls) == (502, 4)


@pytest.mark.parametrize("warnings", [["w" * 5_000_000], ["w" * 1990] * 2000], ids=["one", "many"])
async def test_warnings_of_a_check_have_a_length(studio: Studio, warnings: list[str]) -> None:
    told = answers.told({"warnings": warnings})
    studio.farm.faults = [Fault("POST", "/v1/submissions/check", told, ALWAYS)]
    await studio.submitted()
    status = (await studio.http.get("/project-status/demo")).json()
    assert 0 < sum(map(len, status["Warnings"])) <= 100_000


async def test_the_name_of_a_farm_has_a_length(studio: Studio) -> None:
    submission_id = await studio.submitted()
    told = answers.told(page() | {"farm_id": "x" * 1_000_000})
    studio.farm.faults = [Fault("GET", "/v1/changes", told, 1)]
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await waits_for(studio, "is not understood")
