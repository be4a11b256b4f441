"""kill -9 of the farm at each of its commits: nothing is lost, nothing happens twice."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from farm.db import ledger
from farm.db.opening import open_database
from farm.db.tables import claims, frames, ledger_entries, ledger_postings, runners
from farm.jobs.pricing import to_credits
from sqlalchemy import func, select
from waiting import until

from tools.temporary_postgres import TemporaryPostgres

from .house import CREDITS, Farms, House, Reader, add_user, killed_at_every_commit

# The scenario has some 50 commits; the last of these tests goes through all of them.
SAMPLE = [("before", 1), ("after", 5), ("before", 9), ("after", 14), ("before", 22), ("after", 31)]


def submission() -> dict[str, Any]:
    """Two jobs, the second of which needs the first."""
    job = {"id": "a", "name": "a", "app": "blender", "operation": "render", "instances": 2}
    job |= {"path": "demo/scene.blend", "params": {"frames": "1 4"}}
    second = {"id": "b", "name": "b", "params": {"frames": "5 6"}, "dependencies": ["a"]}
    return {
        "id": "5" * 32,
        "project": "demo",
        "name": "s",
        "output_folder": "demo/render_results/out",
        "jobs": [job, job | second],
    }


def run_scenario(farms: Farms, folder: Path, url: str | None, when: str, number: int) -> int:
    """Do everything once, with a death at one commit, and check all; return how many died."""
    with House(farms, folder, url, when, number) as house:
        house.call("nobody", "GET", "/v1/health")
        key = add_user(folder, url)
        scene = house.send(key, "demo/scene.blend", b"BLENDER-v405", "/v1/blobs")
        manifest = {"files": [scene]}
        house.call(key, "PUT", "/v1/projects/demo/files", json=manifest).raise_for_status()
        house.call(key, "POST", "/v1/submissions", json=submission()).raise_for_status()
        reader = Reader(house, key)
        wanted = {f"demo/render_results/out/frame_{frame:04d}.png" for frame in range(1, 7)}
        reader.follow(
            lambda: (
                set(reader.outputs) == wanted
                and list(reader.states.values()) == ["completed", "completed"]
            )
        )
        assert set(reader.outputs.values()) == {1}, "an output was told twice"
        # What a renderer takes to end, after its last frame, is charged as well.
        until(partial(nobody_renders, house, key))
        jobs = house.call(key, "GET", "/v1/jobs").json()["jobs"]
        info = house.call(key, "GET", "/v1/me").json()
        fresh = Reader(house, key)
        fresh.follow(lambda: len(fresh.outputs) >= 6)
        assert fresh.outputs == reader.outputs
    assert not house.mishap
    for job in jobs:
        assert (job["state"], job["message"]) == ("completed", "")
        assert job["frames_done"] == job["frames_total"]
        assert (job["frames_failed"], job["frames_running"]) == (0, 0)
    assert sorted(job["frames_total"] for job in jobs) == [2, 4]
    consumed = sum(job["credits"] for job in jobs)
    assert info["credits_consumed"] == pytest.approx(consumed)
    assert info["credits_available"] == pytest.approx(CREDITS - consumed)
    check_tables(folder, url, consumed)
    return house.deaths


def nobody_renders(house: House, key: str) -> bool:
    jobs = house.call(key, "GET", "/v1/jobs").json()["jobs"]
    tasks = [house.call(key, "GET", f"/v1/jobs/{job['id']}/tasks").json()["tasks"] for job in jobs]
    return all(task["ended_at"] for its in tasks for task in its)


def check_tables(folder: Path, url: str | None, consumed: float) -> None:
    """Each frame is done and was charged once, and nothing is left open."""
    database = open_database(folder, url)
    with database.read() as connection:
        states = connection.execute(select(frames.c.state)).scalars().all()
        assert list(states) == ["done"] * 6
        charges = connection.execute(
            select(ledger_entries.c.reference, ledger_postings.c.amount_micros)
            .join(ledger_postings)
            .where(ledger_entries.c.kind == "usage", ledger_postings.c.account_id.is_not(None))
        ).all()
        parts = [each.reference.split(":") for each in charges]
        assert sorted(part[2] for part in parts if part[0] == "frame") == list("123456")
        charged = to_credits(-sum(each.amount_micros for each in charges))
        assert float(charged) == pytest.approx(consumed)
        assert ledger.faults(connection) == []
        left = [
            connection.execute(
                select(func.count()).select_from(table).where(table.c.ended_at.is_(None))
            ).scalar_one()
            for table in (claims, runners)
        ]
        assert left[0] == 0, "a claim is still open"
    database.close()


@pytest.mark.parametrize(("when", "number"), SAMPLE)
def test_the_farm_is_killed(
    tmp_path: Path, farms: Farms, empty_url: str | None, when: str, number: int
) -> None:
    assert run_scenario(farms, tmp_path, empty_url, when, number) == 1


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_farm_is_killed_at_every_commit(
    tmp_path: Path, farms: Farms, server: TemporaryPostgres | None, when: str
) -> None:
    def run(folder: Path, url: str | None, number: int) -> int:
        return run_scenario(farms, folder, url, when, number)

    commits = killed_at_every_commit(run, tmp_path, server)
    assert commits >= max(point for _, point in SAMPLE)
