"""What a hostile or broken farm lists has an end, and so has each text in it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import envoy.farm.answers
import hostile_answers as answers
import pytest
from envoy.farm.answers import AT_ONCE_BYTES, MOST_NESTED_NEWS
from envoy_faults import Fault
from envoy_studio import Studio, until, waits_for
from hostile_answers import ALWAYS, OUT, page, row
from messages import saying, says
from pydantic import TypeAdapter


async def test_a_list_that_does_not_end_is_an_error(studio: Studio) -> None:
    submission_id = await studio.submitted()
    for rows in ([], [row(submission_id, "a")], [row(submission_id, "b"), row(submission_id, "a")]):
        same = answers.told({"outputs": rows, "more": True})
        studio.farm.faults = [Fault("GET", "/v1/jobs/", same, ALWAYS)]
        answer = await studio.http.get("/envoy/projects/demo/results")
        assert answer.status_code == 502
        assert says(answer.json()["message"], "farms-list-never-ends")
        assert same.calls <= 2


async def test_a_list_of_files_that_does_not_end_is_an_error(studio: Studio) -> None:
    await studio.submitted()
    entry = {"path": "demo/a", "hash": "0" * 64, "size": 1, "mtime_ns": 1}
    for rows in ([], [entry], [entry | {"path": "demo/b"}, entry]):
        same = answers.told({"files": rows, "more": True})
        studio.farm.faults = [Fault("GET", "/v1/projects/demo/files", same, ALWAYS)]
        answer = await studio.http.get("/project/demo/Files")
        assert says(answer.text, "farms-list-never-ends")
        assert same.calls <= 2


async def test_projects_come_in_pages_that_end(studio: Studio) -> None:
    def told(names: str, *, more: bool) -> answers.Answer:
        size = {"num_files": 1, "total_size": 1, "updated_at": "2026-01-02T03:04:05Z"}
        return answers.told({"projects": [{"name": each, **size} for each in names], "more": more})

    pages = [told("ab", more=True), told("c", more=False)]
    studio.farm.faults = [Fault("GET", "/v1/projects", each, 1) for each in pages]
    listed = (await studio.http.get("/projects")).json()["projects"]
    assert [each["name"] for each in listed] == ["a", "b", "c"]
    for names in ("", "a"):
        same = told(names, more=True)
        studio.farm.faults = [Fault("GET", "/v1/projects", same, ALWAYS)]
        answer = await studio.http.get("/projects")
        assert says(answer.json()["message"], "farms-list-never-ends")
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
    assert says(answer.json()["message"], "farms-answer-to-has-faults")


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
    assert says(answer.json()["message"], "farms-list-larger-than-bytes", 100000)
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
    await waits_for(studio, saying("farms-answer-to-has-faults"))


@pytest.fixture
def in_the_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Sizes of the answers that were read while everything else waited."""
    sizes: list[int] = []
    real = TypeAdapter.validate_json

    def noted(adapter: TypeAdapter[Any], data: Any, **given: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return real(adapter, data, **given)
        sizes.append(len(data))
        return real(adapter, data, **given)

    monkeypatch.setattr(TypeAdapter, "validate_json", noted)
    yield sizes
    assert sizes
    assert max(sizes) <= AT_ONCE_BYTES


def files(count: int) -> bytes:
    entry = '{"path":"demo/%09d","hash":"' + "0" * 64 + '","size":1,"mtime_ns":1}'
    rows = ",".join(entry % number for number in range(count))
    return f'{{"files":[{rows}]}}'.encode()


async def test_large_answers_are_read_while_others_have_their_turn(
    studio: Studio, in_the_loop: list[int]
) -> None:
    submission_id = await studio.submitted()
    outputs = b'{"outputs":[' + b" " * 2 * AT_ONCE_BYTES + b"]}"
    news = json.dumps(page(row(submission_id, "f.png")) | {"x": "x" * 2 * AT_ONCE_BYTES}).encode()
    given = {"/v1/projects/demo/files": files(4_000), "/v1/jobs/": outputs, "/v1/changes": news}
    told = {path: answers.raw(answer) for path, answer in given.items()}
    studio.farm.faults = [Fault("GET", path, answer, 1) for path, answer in told.items()]
    assert len((await studio.http.get("/project/demo/Files")).content) > AT_ONCE_BYTES
    assert (await studio.http.get("/envoy/projects/demo/results")).status_code == 200
    studio.farm.output(submission_id, f"{OUT}/g.png", b"pixels")
    await until((studio.results / "g.png").exists)
    assert [answer.calls for answer in told.values()] == [1, 1, 1]


@pytest.mark.parametrize("rows", ["outputs", "jobs"])
async def test_a_page_of_news_holds_so_many_lists_at_most(studio: Studio, rows: str) -> None:
    submission_id = await studio.submitted()
    nested = page() | {rows: [[[]] * (MOST_NESTED_NEWS + 1)], "x": "x" * 80 * MOST_NESTED_NEWS}
    told = answers.raw(json.dumps(nested).encode())
    studio.farm.faults = [Fault("GET", "/v1/changes", told, ALWAYS)]
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await waits_for(studio, saying("farms-answer-too-many-values"))
