"""Two jobs of a submission whose scenes name the same files: none replaces the other's."""

from typing import Any

import httpx
import pytest
from farm.db.engine.prepared import Prepared
from farm_protocol.hashing import new_hasher
from messages import says
from sqlalchemy import Connection

from .conftest import Farm, send, spec
from .runners import FakeRunner, given, jobs_of


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def two_jobs() -> dict[str, object]:
    """Return a submission of which nothing says that both jobs write the same files."""
    body = spec(instances=1, params={"frames": "1 2"})
    first: dict[str, Any] = body["jobs"][0]
    params = {"frames": "1 2", "output_prefix": "other_"}
    body["jobs"] = [first, first | {"id": "j2", "name": "other take", "params": params}]
    return body


def both(farm: Farm, ann: httpx.Client) -> tuple[FakeRunner, FakeRunner]:
    """Return a runner of each job, at work on both frames."""
    ann.post("/v1/submissions", json=two_jobs()).raise_for_status()
    runners = FakeRunner(farm), FakeRunner(farm, 2)
    assert [runner.claim() for runner in runners] == [[1, 2], [1, 2]]
    return runners


def pixels(ann: httpx.Client) -> list[bytes]:
    """Return what the results are in the end, as Envoy would download them."""
    told = ann.get("/v1/changes").json()["outputs"]
    last = {output["path"]: output["hash"] for output in told}
    return [ann.get(f"/v1/blobs/{last[path]}").content for path in sorted(last)]


def test_the_file_of_another_job_stays_and_the_late_one_fails_for_good(
    farm: Farm, ann: httpx.Client
) -> None:
    first, late = both(farm, ann)
    assert first.done(1, data=b"first").status_code == 204
    before = ann.get("/v1/me").json()["credits_consumed"]
    answer = late.done(1, data=b"late")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert answer.json()["retry"] is False
    message = answer.json()["message"]
    assert says(message, "file-written-by-another-job", "beauty", "frame_0001.png")
    assert ann.get("/v1/me").json()["credits_consumed"] == before
    late.finish("failed", message=message, frame=1, permanent=True)
    assert late.claim() == []
    # What it has may be told again.
    assert first.done(1, data=b"first").status_code == 204
    assert first.done(2, data=b"second").status_code == 204
    told = {name: (job["state"], job["message"]) for name, job in jobs_of(ann).items()}
    assert told == {"beauty": ("completed", ""), "other take": ("failed", message)}
    assert pixels(ann) == [b"first", b"second"]


def test_one_of_many_files_is_enough(farm: Farm, ann: httpx.Client) -> None:
    first, late = both(farm, ann)
    first.done(2, data=b"first")
    outputs = []
    for name in ("a.png", "frame_0002.png", "it's é, [1].png"):
        hasher = new_hasher()
        hasher.update(b"pixels")
        path = f"demo/render_results/out/{name}"
        outputs.append({"path": path, "hash": hasher.hexdigest(), "size": 6})
    answer = late.done(1, outputs=outputs)
    assert answer.status_code == 409
    assert "'frame_0002.png'" in answer.json()["message"]
    assert late.done(1, outputs=outputs[::2]).status_code == 204
    assert first.done(1, outputs=[outputs[2] | {"hash": outputs[0]["hash"]}]).status_code == 204


def test_the_same_bytes_take_nothing_away(farm: Farm, ann: httpx.Client) -> None:
    first, second = both(farm, ann)
    for runner in (first, second):
        assert [runner.done(frame).status_code for frame in (1, 2)] == [204, 204]
    assert {job["state"] for job in jobs_of(ann).values()} == {"completed"}


def test_a_report_reads_no_more_than_it_tells(
    farm: Farm, ann: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many jobs have the same files with the same bytes: others wait meanwhile."""
    body = two_jobs()
    first: dict[str, Any] = body["jobs"][0]  # type: ignore[index]
    names = [f"take {number}" for number in range(4)]
    body["jobs"] = [
        first | {"id": name, "name": name, "params": {"frames": "1", "output_prefix": f"{name}_"}}
        for name in names
    ]
    ann.post("/v1/submissions", json=body).raise_for_status()
    read = list[int]()
    rows = Prepared.rows

    def counted(self: Prepared, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        found = rows(self, connection, **values)
        read.append(len(found))
        return found

    monkeypatch.setattr(Prepared, "rows", counted)
    for number, (data, status) in enumerate(((b"same", 204),) * 3 + ((b"other", 409),), 1):
        runner = FakeRunner(farm, number)
        assert runner.claim() == [1]
        read.clear()
        assert runner.done(1, data=data).status_code == status
        assert max(read) == 1
        runner.claim()  # Nothing is left for it, so that another is started.


def test_a_frame_that_is_rendered_again_replaces_its_own_file(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(instances=1, params={"frames": "1"}))
    runner = FakeRunner(farm)
    runner.claim()
    runner.done(1, data=b"before")
    (job,) = jobs_of(ann).values()
    ann.post(f"/v1/jobs/{job['id']}/retry_all").raise_for_status()
    again = given(farm, runner, 2, [1])
    assert again.done(1, data=b"after").status_code == 204
    assert pixels(ann) == [b"after"]


def test_a_later_submission_may_replace_what_is_there(farm: Farm, ann: httpx.Client) -> None:
    for number, data in enumerate((b"before", b"after"), 1):
        ann.post("/v1/submissions", json=spec(instances=1, params={"frames": "1"}))
        runner = FakeRunner(farm, number)
        runner.claim()
        assert runner.done(1, data=data).status_code == 204
    assert pixels(ann) == [b"after"]
