"""What every store does, wherever it keeps the bytes. A suite for each derives from this one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from farm.errors import BlobLostError, HashMismatchError, StorageFullError
from farm.stores.lending import lent
from farm.stores.port import Store
from farm_protocol.hashing import new_hasher
from farm_protocol.runner import DiskSource

ANN, BOB = "a" * 32, "b" * 32


def digest(data: bytes) -> str:
    hasher = new_hasher()
    hasher.update(data)
    return hasher.hexdigest()


def put(store: Store, data: bytes, account: str = ANN) -> str:
    """Store a blob in two pieces; return its hash."""
    incoming = store.begin(account, digest(data), len(data))
    try:
        incoming.write(data[:3])
        incoming.write(data[3:])
        incoming.commit()
    finally:
        incoming.abort()
    return digest(data)


def get(store: Store, blob_hash: str, account: str = ANN) -> bytes:
    with store.open(account, blob_hash) as file:
        return file.read()


class StoreContract:
    """Derive from it, and say in `make` what the store is."""

    def make(self, folder: Path) -> Store:
        """Return an empty store that keeps what it must keep below a folder."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return self.make(tmp_path)

    @pytest.mark.parametrize("data", [b"", b"x", b"pixels" * 100_000], ids=["0", "1", "600000"])
    def test_bytes_come_back(self, store: Store, data: bytes) -> None:
        assert get(store, put(store, data)) == data

    def test_a_part_can_be_read(self, store: Store) -> None:
        with store.open(ANN, put(store, b"0123456789")) as file:
            assert file.seek(4) == 4
            assert file.read(3) == b"456"

    def test_nothing_is_there_before_it_is_complete(self, store: Store) -> None:
        incoming = store.begin(ANN, digest(b"pixels"), 6)
        incoming.write(b"pixels")
        with pytest.raises(BlobLostError):
            store.open(ANN, digest(b"pixels"))
        incoming.abort()
        with pytest.raises(BlobLostError):
            store.open(ANN, digest(b"pixels"))

    @pytest.mark.parametrize("sent", [b"pixel", b"pixels!", b"others", b""])
    def test_other_bytes_are_refused(self, store: Store, sent: bytes) -> None:
        incoming = store.begin(ANN, digest(b"pixels"), 6)
        incoming.write(sent)
        with pytest.raises(HashMismatchError):
            incoming.commit()
        incoming.abort()
        with pytest.raises(BlobLostError):
            store.open(ANN, digest(b"pixels"))

    def test_another_size_is_refused_although_the_hash_is_right(self, store: Store) -> None:
        incoming = store.begin(ANN, digest(b"pixels"), 7)
        incoming.write(b"pixels")
        with pytest.raises(HashMismatchError):
            incoming.commit()
        incoming.abort()

    def test_abort_is_fine_at_any_time(self, store: Store) -> None:
        incoming = store.begin(ANN, digest(b"pixels"), 6)
        incoming.write(b"pixels")
        incoming.commit()
        incoming.abort()
        incoming.abort()
        assert get(store, digest(b"pixels")) == b"pixels"

    def test_a_blob_may_be_stored_again(self, store: Store) -> None:
        put(store, b"pixels")
        with store.open(ANN, digest(b"pixels")) as reader:
            put(store, b"pixels")
            assert reader.read() == b"pixels"
        assert get(store, digest(b"pixels")) == b"pixels"

    def test_accounts_do_not_see_each_others(self, store: Store) -> None:
        put(store, b"pixels")
        with pytest.raises(BlobLostError):
            store.open(BOB, digest(b"pixels"))
        put(store, b"pixels", BOB)
        store.delete(BOB, [digest(b"pixels")])
        assert get(store, digest(b"pixels")) == b"pixels"

    def test_what_is_deleted_is_gone(self, store: Store) -> None:
        gone, kept = put(store, b"gone"), put(store, b"kept")
        store.delete(ANN, [gone, digest(b"never there")])
        with pytest.raises(BlobLostError):
            store.open(ANN, gone)
        assert get(store, kept) == b"kept"
        store.delete(ANN, [gone])
        assert get(store, put(store, b"gone")) == b"gone"

    def test_many_at_a_time_and_the_same_one(self, store: Store) -> None:
        blobs = [b"blob %d" % (number % 20) for number in range(60)]
        together = threading.Barrier(6)

        def work(data: bytes) -> bytes:
            if len(together_seen) < 6:
                together_seen.append(data)
                together.wait(60)
            return get(store, put(store, data))

        together_seen: list[bytes] = []
        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(work, blobs)) == blobs

    def test_a_program_that_needs_a_file_is_lent_one(self, store: Store, tmp_path: Path) -> None:
        blob = put(store, b"scene")
        before = set(tmp_path.rglob("*"))
        with lent(store, ANN, tmp_path) as place:
            assert place(blob).read_bytes() == b"scene"
            assert place(blob) == place(blob)
        assert set(tmp_path.rglob("*")) == before

    def test_copies_that_are_lent_have_room(self, store: Store, tmp_path: Path) -> None:
        blob = put(store, b"scene")

        def check(size: int) -> None:
            raise StorageFullError(f"no room for {size} bytes")

        with ExitStack() as stack:
            if store.folder() is None:
                stack.enter_context(pytest.raises(StorageFullError))
            with lent(store, ANN, tmp_path, check) as place:
                place(blob)

    def test_what_lies_on_a_disk_of_this_machine_lies_in_its_folder(self, store: Store) -> None:
        path, folder = store.local_path(ANN, put(store, b"scene")), store.folder()
        assert (path is None) == (folder is None)
        assert path is None or folder is None or path.is_relative_to(folder)

    def test_runners_find_the_bytes(self, store: Store) -> None:
        blob = put(store, b"scene")
        source = store.source(ANN)
        if isinstance(source, DiskSource):
            assert Path(source.folder, blob[:2], blob).read_bytes() == b"scene"
        for each, url in store.tickets(ANN, [blob]).items():
            assert each == blob
            assert httpx.get(url).raise_for_status().content == b"scene"
