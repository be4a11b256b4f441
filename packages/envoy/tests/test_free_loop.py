"""The journal is on a disk, which may be slow: nobody else waits for it with those who use it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from envoy.journal.database import Database
from envoy_fake_farm import FakeFarm
from envoy_faults import Fault
from envoy_start import Start
from envoy_studio import until

OUT = "demo/render_results/out"


@pytest.fixture
def in_the_loop(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the journal while everything else waited; opening it is not counted."""
    asked: list[str] = []
    opening: list[object] = []
    init, read, transaction = Database.__init__, Database.read, Database.transaction

    def open_it(database: Database, path: Path) -> None:
        opening.append(path)
        init(database, path)
        opening.pop()

    def is_in_the_loop() -> bool:
        if opening:
            return False
        try:
            return bool(asyncio.get_running_loop())
        except RuntimeError:
            return False

    def noted_read(database: Database, sql: str, *parameters: Any) -> Any:
        if is_in_the_loop():
            asked.append(sql)
        return read(database, sql, *parameters)

    def noted_transaction(database: Database, **options: Any) -> Any:
        if is_in_the_loop():
            asked.append("a transaction")
        return transaction(database, **options)

    monkeypatch.setattr(Database, "__init__", open_it)
    monkeypatch.setattr(Database, "read", noted_read)
    monkeypatch.setattr(Database, "transaction", noted_transaction)
    return asked


async def test_whatever_is_asked_the_loop_goes_on(in_the_loop: list[str], start: Start) -> None:
    studio = await start()
    await studio.sign_in()
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/frame_0001.png", b"pixels")
    await until((studio.results / "frame_0001.png").exists)
    described = (await studio.http.get("/envoy/openapi.json")).json()["paths"]
    (job,) = (await studio.of(submission_id))["jobs"]
    asked = set()
    for path, operations in described.items():
        for method in set(operations) - {"delete"}:
            if path == "/envoy/stop":
                continue
            filled = path.replace("{name}", "demo").replace("{job_id}", job["id"])
            body: dict[str, Any] = {"json": {}} if method == "post" else {}
            asked.add((await studio.http.request(method, filled, **body)).status_code)
    assert 200 in asked
    await start.stop()
    studio = await start()
    await until((studio.results / "frame_0001.png").exists)
    assert in_the_loop == []


async def test_what_was_interrupted_goes_on_beside_the_loop(
    in_the_loop: list[str], start: Start, farm: FakeFarm
) -> None:
    """Also what waits for another farm, which is written down."""
    studio = await start()
    await studio.sign_in()
    farm.faults = [Fault("PUT", "/v1/blobs/", "hold")]
    studio.write("scene.blend")
    await studio.submit()
    (listed,) = (await studio.http.get("/projects")).json()["projects"]
    assert listed["num_files"] == 1
    await until(farm.held.is_set)
    farm.released.set()
    await start.stop()
    await start(farm_url="http://127.0.0.1:9")
    assert in_the_loop == []
