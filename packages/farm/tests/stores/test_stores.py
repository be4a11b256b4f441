"""Each store, alone and wrapped, keeps the contract; what only one of them promises."""

import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from farm.errors import BlobLostError, StorageFullError, UnavailableError
from farm.stores.disk import DiskStore
from farm.stores.port import Store
from farm.stores.wrappers import Retrying, Throttled
from memory_store import MemoryStore

from .contract import ANN, StoreContract, digest, get, put

AWAY = UnavailableError("The store is away.")


class TestDisk(StoreContract):
    def make(self, folder: Path) -> DiskStore:
        return DiskStore(folder / "blobs")

    def test_what_a_crash_left_is_removed_at_the_next_start(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        put(store, b"kept")
        lost = store.begin(ANN, digest(b"lost"), 4)
        lost.write(b"lo")
        again = self.make(tmp_path)
        assert get(again, digest(b"kept")) == b"kept"
        assert not list((tmp_path / "blobs" / "tmp").iterdir())
        lost.abort()

    def test_a_blob_is_its_owners_alone(self, tmp_path: Path) -> None:
        store = self.make(tmp_path)
        assert store.local_path(ANN, put(store, b"scene")).stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        ("number", "told"),
        [
            (errno.ENOSPC, StorageFullError),
            (errno.EDQUOT, StorageFullError),
            (errno.ESTALE, UnavailableError),
            (errno.EMFILE, UnavailableError),
            (errno.EACCES, PermissionError),
        ],
    )
    def test_a_fault_of_the_disk_is_told_by_its_kind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: type[Exception]
    ) -> None:
        store = self.make(tmp_path)
        incoming = store.begin(ANN, digest(b"pixels"), 6)
        incoming.write(b"pixels")

        def fails(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fails)
            with pytest.raises(told):
                incoming.commit()
        with pytest.raises(BlobLostError):
            store.open(ANN, digest(b"pixels"))
        # The same bytes, once the disk does what it should.
        incoming.commit()
        assert get(store, digest(b"pixels")) == b"pixels"


class TestMemory(StoreContract):
    @pytest.fixture(params=["tickets", "none"])
    def store(self, request: pytest.FixtureRequest) -> Iterator[Store]:
        store = MemoryStore()
        if request.param == "none":
            yield store
            return
        with store.giving_tickets():
            yield store


class TestRetrying(StoreContract):
    """Every other call fails once."""

    def make(self, folder: Path) -> Store:
        return Retrying(_Shaky(), seconds=60)

    @pytest.mark.parametrize("failures", [1, 3])
    def test_what_may_pass_is_tried_again(self, failures: int) -> None:
        memory = MemoryStore()
        blob = put(memory, b"pixels")
        memory.faults.extend([AWAY] * failures)
        assert get(Retrying(memory), blob) == b"pixels"
        assert not memory.faults

    def test_what_does_not_pass_is_told_in_the_end(self) -> None:
        memory = MemoryStore()
        memory.faults.extend([AWAY] * 1000)
        with pytest.raises(UnavailableError, match="The store is away"):
            Retrying(memory, seconds=0.3).delete(ANN, ["x"])
        assert 1 < memory.calls < 100

    @pytest.mark.parametrize(
        "fault", [BlobLostError("x"), StorageFullError("full"), PermissionError("no")]
    )
    def test_what_trying_cannot_change_is_told_at_once(self, fault: Exception) -> None:
        memory = MemoryStore()
        memory.faults.append(fault)
        with pytest.raises(type(fault)):
            Retrying(memory).open(ANN, "x")
        assert memory.calls == 1


class TestThrottled(StoreContract):
    def make(self, folder: Path) -> Store:
        return Throttled(DiskStore(folder / "blobs"), 1)

    def test_so_many_calls_at_a_time(self) -> None:
        memory = _Busy()
        blob = put(memory, b"pixels")
        store = Throttled(memory, 3)
        memory.gate.clear()
        with ThreadPoolExecutor(10) as pool:
            answers = [pool.submit(get, store, blob) for _ in range(10)]
            assert memory.busy.acquire(timeout=60)
            assert memory.busy.acquire(timeout=60)
            assert memory.busy.acquire(timeout=60)
            memory.gate.set()
            assert [each.result(20) for each in answers] == [b"pixels"] * 10
        assert memory.most == 3

    def test_one_that_waits_to_be_made_again_gives_up_its_place(self) -> None:
        memory = MemoryStore()
        blob = put(memory, b"pixels")
        memory.faults.extend([AWAY] * 4)
        store = Retrying(Throttled(memory, 1))
        with ThreadPoolExecutor(2) as pool:
            found = [pool.submit(get, store, blob) for _ in range(2)]
            assert [each.result(20) for each in found] == [b"pixels"] * 2


class _Shaky(MemoryStore):
    def _call(self) -> None:
        super()._call()
        if self.calls % 2:
            raise AWAY


class _Busy(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.busy = threading.Event(), threading.Semaphore(0)
        self.gate.set()
        self.now = self.most = 0
        self._counting = threading.Lock()

    def _call(self) -> None:
        with self._counting:
            self.now += 1
            self.most = max(self.most, self.now)
        self.busy.release()
        assert self.gate.wait(60)
        with self._counting:
            self.now -= 1
