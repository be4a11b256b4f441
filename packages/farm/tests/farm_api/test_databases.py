"""What must be the same on both databases when many ask at once, or ask for odd things."""

import threading
from collections import Counter
from decimal import Decimal
from typing import Any

import httpx
import pytest
from farm.accounts.credentials import hash_secret
from farm.accounts.credits import grant
from farm.db import accounts
from farm.db.opening import open_database
from farm.db.tables import ledger_entries
from sqlalchemy import func, select

from .conftest import Farm, send, spec
from .runners import FakeRunner

FRAMES = 40


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def test_runners_at_once_share_a_job_while_another_process_writes(
    farm: Farm, ann: httpx.Client, database_url: str | None
) -> None:
    ann.post("/v1/submissions", json=spec(params={"frames": f"1 {FRAMES}"}, instances=2))
    rendered: Counter[int] = Counter()
    told: Counter[str] = Counter()
    done = threading.Event()

    def render(number: int) -> None:
        runner = FakeRunner(farm, number)
        while frames := runner.claim():
            for frame in frames:
                assert runner.done(frame, seconds=0.001).status_code == 204
                rendered[frame] += 1
            assert runner.finish().status_code == 204

    def follow() -> None:
        reader = farm.client(ann.headers["Authorization"].removeprefix("Bearer "))
        cursor = 0
        while not done.is_set() or told.total() < FRAMES:
            query = {"after": cursor, "wait": 1}
            found = reader.get("/v1/changes", params=query).raise_for_status().json()
            cursor = found["cursor"]
            told.update(output["path"] for output in found["outputs"])

    def top_up() -> None:
        other = open_database(farm.data_dir, database_url)
        secret = ann.headers["Authorization"].removeprefix("Bearer ")
        for _ in range(20):
            with other.write() as connection:
                account = accounts.by_key_hash(connection, hash_secret(secret))
                assert account is not None
                grant(connection, account.id, Decimal(1), "top-up")
        other.close()

    work = [threading.Thread(target=render, args=(number,)) for number in (1, 2)]
    work.append(threading.Thread(target=top_up))
    reading = threading.Thread(target=follow)
    for thread in (*work, reading):
        thread.start()
    for thread in work:
        thread.join()
    done.set()
    reading.join()
    assert set(rendered) == set(range(1, FRAMES + 1))
    assert set(rendered.values()) == {1}
    assert len(told) == FRAMES
    assert set(told.values()) == {1}
    job = ann.get("/v1/jobs").json()["jobs"][0]
    assert (job["state"], job["frames_done"], job["frames_running"]) == ("completed", FRAMES, 0)
    with farm.database.read() as connection:
        usage = select(func.count()).where(ledger_entries.c.kind == "usage")
        # Each frame once; and what a renderer computed beyond its last one, where that was longer.
        assert connection.execute(usage).scalar_one() >= FRAMES
    info = ann.get("/v1/me").json()
    assert info["credits_consumed"] == pytest.approx(job["credits"])
    assert info["credits_available"] == pytest.approx(120 - job["credits"])


def test_a_text_with_nul_is_no_mistake_of_the_farm(farm: Farm, ann: httpx.Client) -> None:
    answer = ann.post("/v1/submissions", json=spec(name="be\0auty", instances=1))
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["jobs[0].name"])
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    runner = FakeRunner(farm)
    runner.claim()
    assert runner.post("log", {"offset": 0, "text": "a\0b\n"}).status_code == 204
    assert runner.finish("failed", message="\0 was printed.").status_code == 204
    job = ann.get("/v1/jobs").json()["jobs"][0]
    log = ann.get(f"/v1/jobs/{job['id']}/log").json()["text"]
    assert log[0] + log[2:4] == "ab\n"
    assert ann.get("/v1/jobs/%00").status_code == 404  # No address has such a character.
    login = {"email": "\0", "secret": "\0"}
    assert httpx.post(f"{farm.url}/v1/login", json=login, timeout=60).status_code == 400


@pytest.mark.parametrize("number", [2**31, 2**63, 10**30])
def test_numbers_beyond_any_column_are_refused_by_name(
    farm: Farm, ann: httpx.Client, number: int
) -> None:
    def refused(answer: httpx.Response, field: str) -> None:
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])

    ann.post("/v1/submissions", json=spec(instances=1))
    runner = FakeRunner(farm)
    runner.claim()
    output: dict[str, Any] = {"path": "demo/x", "hash": "0" * 64, "size": 0}
    refused(runner.post("heartbeat", {"frame": number}), "frame")
    refused(runner.post("log", {"offset": number, "text": ""}), "offset")
    frame = {"frame": number, "seconds": 0, "outputs": [output]}
    refused(runner.post("frames", frame), "frame")
    if number >= 2**63:
        job_id = ann.get("/v1/jobs").json()["jobs"][0]["id"]
        refused(ann.get("/v1/changes", params={"after": number}), "after")
        refused(ann.get(f"/v1/jobs/{job_id}/log", params={"after": number}), "after")
        files = {"files": [output | {"size": number}]}
        refused(ann.put("/v1/projects/demo/files", json=files), "files[0].size")
