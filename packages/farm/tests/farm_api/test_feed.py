"""The change feed: its pages, and what it tells of results that are no more."""

import itertools
from typing import Any

import httpx
import pytest
from farm.db import feed
from farm.db import outputs as outputs_of
from farm.db.engine.prepared import Prepared
from farm.db.tables import changes as changes_table
from farm.db.tables import jobs, outputs
from farm.scheduler.claims import FILES_AT_A_TIME
from sqlalchemy import delete, func, select

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def changes(client: httpx.Client, after: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/v1/changes", params={"after": after}).json()
    return told


def rendered(farm: Farm, client: httpx.Client, number: int = 1) -> dict[str, Any]:
    """Return a job whose frames 1 and 2 are done."""
    client.post("/v1/submissions", json=spec(params={"frames": "1 2"}, instances=1))
    runner = FakeRunner(farm, number)
    for frame in runner.claim():
        assert runner.done(frame, data=b"%d of %d" % (frame, number)).status_code == 204
    runner.finish()
    farm.engine.living.clear()
    return job_of(client)


def path(frame: int) -> str:
    return f"demo/render_results/out/frame_{frame:04d}.png"


def test_a_deleted_result_is_told_as_gone_and_the_feed_goes_on(
    farm: Farm, ann: httpx.Client
) -> None:
    job = rendered(farm, ann)
    cursor = changes(ann)["cursor"]
    gone = {"submission_id": job["submission_id"], "job_id": job["id"], "path": path(1)}
    with farm.database.write() as connection:
        connection.execute(delete(outputs).where(outputs.c.path == path(1)))
    # Whoever reads from the start hears of both; nobody is stopped by what is not there.
    told = changes(ann)
    assert [each["path"] for each in told["outputs"]] == [path(2)]
    assert told["gone"] == [gone]
    assert told["cursor"] == cursor

    # Whoever had heard of it hears that it is gone, once it is told.
    with farm.database.write() as connection:
        account = connection.execute(select(jobs.c.account_id)).scalar_one()
        feed.outputs_changed(connection, account, job["id"], [path(1)])
    farm.wakeup.notify()
    told = changes(ann, cursor)
    assert (told["outputs"], told["gone"]) == ([], [gone])
    assert changes(ann, told["cursor"])["gone"] == []


def test_one_path_of_two_jobs_is_told_for_each(farm: Farm, ann: httpx.Client) -> None:
    first, second = rendered(farm, ann, 1), rendered(farm, ann, 2)
    told = [(each["job_id"], each["path"]) for each in changes(ann)["outputs"]]
    assert told == [(job["id"], path(frame)) for job in (first, second) for frame in (1, 2)]


def test_a_full_page_says_that_there_is_more(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec())
    job = job_of(ann)
    with farm.database.write() as connection:
        account = connection.execute(select(jobs.c.account_id)).scalar_one()
        paths = [f"demo/render_results/out/{number}.png" for number in range(1500)]
        feed.outputs_changed(connection, account, job["id"], paths)
    first = changes(ann)
    assert first["more"]
    second = changes(ann, first["cursor"])
    assert not second["more"]
    assert second["cursor"] > first["cursor"]
    assert [each["id"] for each in second["jobs"]] == [job["id"]]
    assert [each["path"] for each in first["gone"] + second["gone"]] == paths


def lines(farm: Farm) -> int:
    with farm.database.read() as connection:
        return connection.execute(select(func.count()).select_from(changes_table)).scalar_one()


def test_the_feed_does_not_grow_with_what_happens(farm: Farm, ann: httpx.Client) -> None:
    job = rendered(farm, ann)
    behind = changes(ann)["cursor"]
    assert lines(farm) == 3
    farm.engine.obedient = True
    ann.post(f"/v1/jobs/{job['id']}/retry_all").raise_for_status()
    for priority in range(20):
        ann.patch(f"/v1/jobs/{job['id']}", json={"priority": priority}).raise_for_status()
        ann.post(f"/v1/jobs/{job['id']}/suspend").raise_for_status()
        ann.post(f"/v1/jobs/{job['id']}/resume").raise_for_status()
    # The same results once more, with other bytes, of the first runner that was not ended again.
    for number in itertools.count(2):
        runner = FakeRunner(farm, number)
        is_there = f"fake:{runner.request.runner_id}" in farm.engine.living
        if is_there and (frames := runner.claim()):
            break
    for frame in frames:
        assert runner.done(frame, data=b"as new").status_code == 204
    runner.finish()
    assert lines(farm) == 3
    # Whoever had read what is dropped, and whoever had not, hear how it is now.
    for told in (changes(ann, behind), changes(ann)):
        assert [(each["priority"], each["state"]) for each in told["jobs"]] == [(19, "completed")]
        assert [each["path"] for each in told["outputs"]] == [path(1), path(2)]
        assert {each["size"] for each in told["outputs"]} == {6}
    assert changes(ann, changes(ann)["cursor"])["jobs"] == []


def test_a_frame_of_very_many_files_is_stored_in_portions(
    farm: Farm, ann: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write in between, and no statement is for one file alone."""
    ann.post("/v1/submissions", json=spec(params={"frames": "1 2"}, instances=1))
    runner = FakeRunner(farm)
    frame, _ = runner.claim()
    entry = send(ann, "demo/small.png", b"pixels")
    made = [
        {"path": f"demo/render_results/out/{number}.png", "hash": entry["hash"], "size": 6}
        for number in range(12_000)
    ]
    statements = list[int]()
    real = Prepared.run_all

    def run_all(self: Prepared, connection: Any, many: Any) -> None:
        statements.append(len(many))
        real(self, connection, many)

    turns = list[int]()
    store = outputs_of.store

    def counted(connection: Any, **values: Any) -> None:
        turns.append(len(values["files"]))
        store(connection, **values)

    monkeypatch.setattr(Prepared, "run_all", run_all)
    monkeypatch.setattr(outputs_of, "store", counted)
    report = {"frame": frame, "seconds": 0, "outputs": [*made, made[0] | {"size": 7}]}
    wrong = runner.post("frames", report).json()
    assert list(wrong["errors"]) == ["outputs[12000].hash"]
    for _ in range(2):  # Again is harmless.
        assert runner.post("frames", report | {"outputs": made}).status_code == 204
    assert turns == [FILES_AT_A_TIME] * 12  # Nothing of the wrong one, nor of the second time.
    assert max(statements) < 10
    told, cursor, more = set[str](), 0, True
    while more:
        page = changes(ann, cursor)
        told |= {each["path"] for each in page["outputs"]}
        cursor, more = page["cursor"], page["more"]
    assert told == {each["path"] for each in made}
