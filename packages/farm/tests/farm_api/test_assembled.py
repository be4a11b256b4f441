"""A farm as `farm.main` puts it together, with parts of its own and given ones: it works."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from farm.accounts.users import create
from farm.catalogue import Catalogue
from farm.config import Settings
from farm.main import assemble
from farm.process.data_folder import owned
from farm.process.server import listen
from farm.stores.disk import DiskStore
from farm.stores.port import Store
from farm_protocol.users import NewUser
from memory_store import MemoryStore

from .conftest import RecordingEngine, send, spec

DATA = b"BLENDER-v304"


@contextmanager
def assembled(
    settings: Settings, catalogue: Catalogue, engine: RecordingEngine, store: Store | None
) -> Iterator[httpx.Client]:
    """Yield a client of a user of such a farm, which works meanwhile."""
    with owned(settings.data_dir):
        listener = listen("127.0.0.1", 0, settings.data_dir)
        listener.listen()  # Who calls before the farm is there waits for it.
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        farm = assemble(settings, url, engine=lambda _: engine, catalogue=catalogue, store=store)
        new = NewUser(email=f"{uuid4().hex}@example.com", credits=Decimal(100))
        user = create(farm.database, new)
        thread = threading.Thread(target=farm.run, args=[listener])
        thread.start()
        headers = {"Authorization": f"Bearer {user.access_key}"}
        try:
            with httpx.Client(base_url=url, headers=headers, timeout=60, verify=False) as client:
                yield client
        finally:
            farm.server.end()
            thread.join()


@pytest.mark.parametrize("kept", ["in the data folder", "on another disk", "in memory"])
def test_an_assembled_farm_takes_files_and_orders_runners(
    tmp_path: Path, catalogue: Catalogue, kept: str
) -> None:
    stores: dict[str, Store | None] = {
        "in the data folder": None,
        "on another disk": DiskStore(tmp_path / "share"),
        "in memory": MemoryStore(),
    }
    settings = Settings(data_dir=tmp_path / "farm", missing_files="off")
    engine = RecordingEngine()

    with assembled(settings, catalogue, engine, stores[kept]) as ann:
        scene = send(ann, "demo/scene.blend", DATA)
        assert ann.get(f"/v1/blobs/{scene['hash']}").content == DATA
        ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
        # A pass of the scheduler has looked at the disks, and at the job.
        engine.wait_for(1)

    assert (settings.data_dir / "blobs").exists() == (kept == "in the data folder")


class LastingEngine(RecordingEngine):
    """Keeps whether it was looked into after its farm had let go of it."""

    def __init__(self) -> None:
        super().__init__()
        self.outlives_farm = True
        self.looks_at_close = 0

    def close(self) -> None:
        super().close()
        self.looks_at_close = self.looks


def ask(client: httpx.Client, engine: RecordingEngine, path: str, **body: object) -> dict[str, Any]:
    """Return what the farm answers the first runner."""
    headers = {"Authorization": f"Bearer {engine.wait_for(1).token}"}
    answer = client.post(f"/v1/runner/claims{path}", headers=headers, json=body)
    answered: dict[str, Any] = answer.raise_for_status().json()
    return answered


def test_runners_that_outlive_their_farm_work_on_and_are_found_again(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    settings = Settings(data_dir=tmp_path / "farm", missing_files="off")
    engine = LastingEngine()
    with assembled(settings, catalogue, engine, None) as ann:
        send(ann, "demo/scene.blend", DATA)
        ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
        claim = ask(ann, engine, "")

    assert engine.living == engine.given
    assert not engine.stopped
    assert engine.looks == engine.looks_at_close, "the farm has waited for its runners"

    with assembled(settings, catalogue, engine, None) as ann:
        engine.wait_for_looks(1)
        told = ask(ann, engine, f"/{claim['claim_id']}/heartbeat", frame=1)
        assert told["command"] == "continue"
    assert len(engine.launched) == 1


def test_runners_that_do_not_outlive_their_farm_are_ended_before_it(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    settings = Settings(data_dir=tmp_path / "farm", missing_files="off")
    engine = RecordingEngine()
    with assembled(settings, catalogue, engine, None) as ann:
        send(ann, "demo/scene.blend", DATA)
        ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
        engine.wait_for(1)

    assert engine.stopped == engine.given
    assert not engine.living
