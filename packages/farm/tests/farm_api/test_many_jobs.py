"""What is done to many jobs at once keeps nobody else waiting."""

import time

from farm.db import jobs as rows
from farm_protocol.jobs import MOST_JOBS

from .conftest import Farm, send, spec

GUARD_SECONDS = 20
"""Of processor time; it was minutes. A busy machine takes about three."""


def jobs(**changes: object) -> list[object]:
    found = spec(**changes)["jobs"]
    assert isinstance(found, list)
    return found


def test_a_thousand_jobs_are_stopped_and_done_anew_in_seconds(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    for needed in (0, 10):
        body = spec()
        body["jobs"] = [
            each
            for n in range(MOST_JOBS)
            for each in jobs(
                id=f"j{n}",
                params={"frames": "1", "output_prefix": f"{n}_"},
                dependencies=[f"j{other}" for other in range(max(0, n - needed), n)],
            )
        ]
        body["output_folder"] = f"demo/render_results/{needed}"
        ann.post("/v1/submissions", json=body).raise_for_status()
    begin = time.process_time()
    for action in ("stop", "retry_all", "stop"):
        answer = ann.post(f"/v1/jobs/{action}", timeout=300)
        assert answer.is_success
    assert time.process_time() - begin < GUARD_SECONDS
    # Runners of a few may have been asked for meanwhile, and hand back what they do not have.
    assert {each["state"] for each in answer.json()["jobs"]} <= {"stopped", "stopping"}


def test_portions_keep_a_submission_together(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    for _ in range(3):
        params = {"frames": "1", "output_prefix": "b"}
        two = [*jobs(), *jobs(id="b", params=params)]
        ann.post("/v1/submissions", json=spec() | {"jobs": two}).raise_for_status()
    found = ann.get("/v1/jobs").json()["jobs"]
    of = {each["id"]: each["submission_id"] for each in found}
    with farm.database.read() as connection:
        portions = list(rows.portions(connection, [*of, "unknown"], 3))
    assert [len(each) for each in portions] == [2, 2, 2]
    assert all(len({of[job_id] for job_id in each}) == 1 for each in portions)
