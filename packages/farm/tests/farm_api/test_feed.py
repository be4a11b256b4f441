"""The change feed: its pages, and what it tells of results that are no more."""

from typing import Any

import httpx
import pytest
from farm.db import feed
from farm.db.tables import jobs, outputs
from sqlalchemy import delete, select

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
        feed.jobs_changed(connection, account, [job["id"]] * 1500)
    first = changes(ann)
    assert first["more"]
    second = changes(ann, first["cursor"])
    assert not second["more"]
    assert second["cursor"] > first["cursor"]
    assert [each["id"] for each in second["jobs"]] == [job["id"]]
