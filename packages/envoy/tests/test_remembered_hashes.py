"""Which files are read again, and which hashes are remembered."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from blake3 import blake3
from envoy_fake_farm import EMAIL
from envoy_start import Start
from envoy_studio import Studio
from farm_protocol.hashing import hash_open


async def test_a_file_that_was_just_written_is_read_each_time(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long it takes until Envoy reads it.
    monkeypatch.setattr("envoy.upload.hash_cache.SETTLED_SECONDS", 3600.0)
    now = time.time_ns()
    for content in (b"first", b"other"):
        path = studio.write("scene.blend", content)
        # As on a disk that counts time in large steps: the two look the same.
        os.utime(path, ns=(now, now))
        await studio.until_state(await studio.submit(), "submitted")
        sent = studio.farm.manifests[EMAIL, "demo"]["demo/scene.blend"].hash
        assert sent == blake3(content).hexdigest()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The files that were read, of which none has to settle."""
    found: list[int] = []

    def noted(file: BinaryIO, *args: Any) -> tuple[str, int]:
        found.append(file.fileno())
        return hash_open(file, *args)

    monkeypatch.setattr("envoy.upload.hash_cache.hash_open", noted)
    monkeypatch.setattr("envoy.upload.hash_cache.SETTLED_SECONDS", -1.0)
    return found


async def test_a_file_that_has_settled_is_read_once(studio: Studio, read: list[int]) -> None:
    path = studio.write("scene.blend")
    for _ in range(2):
        await studio.until_state(await studio.submit(), "submitted")
    assert len(read) == 1
    path.write_bytes(b"other")
    await studio.until_state(await studio.submit(), "submitted")
    assert len(read) == 2


def rewritten(path: Path) -> None:
    path.write_bytes(b"other")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"other")
    other.rename(path)


@pytest.mark.skipif(os.name != "posix", reason="does not tell when a file was changed")
@pytest.mark.parametrize("change", [rewritten, replaced])
async def test_other_bytes_of_the_same_size_and_time_are_sent(
    studio: Studio, read: list[int], change: Callable[[Path], None]
) -> None:
    yesterday = time.time_ns() - 24 * 3600 * 10**9
    path = studio.write("scene.blend", b"first")
    os.utime(path, ns=(yesterday, yesterday))
    await studio.until_state(await studio.submit(), "submitted")
    # As a tool does that sets fixed times, or keeps those of a file that it copies.
    change(path)
    os.utime(path, ns=(yesterday, yesterday))
    await studio.until_state(await studio.submit(), "submitted")
    sent = studio.farm.manifests[EMAIL, "demo"]["demo/scene.blend"].hash
    assert sent == blake3(b"other").hexdigest()
    assert len(read) == 2


def made_at_once(studio: Studio, **contents: bytes) -> None:
    """Write a scene into each of several folders: all of one size and of the same times."""
    yesterday = time.time_ns() - 24 * 3600 * 10**9
    while True:
        paths = [studio.write(f"{name}/scene.blend", data) for name, data in contents.items()]
        for path in paths:
            os.utime(path, ns=(yesterday, yesterday))
        # The clock of file systems counts in steps; the files were changed within one.
        if len({path.stat().st_ctime_ns for path in paths}) == 1:
            return


@pytest.mark.skipif(os.name != "posix", reason="does not tell when a file was changed")
async def test_another_file_of_the_same_size_and_times_is_sent(
    studio: Studio, read: list[int]
) -> None:
    made_at_once(studio, shot=b"first", other=b"other")
    studio.write("scene.blend")
    files = ["scene.blend", "shot/scene.blend"]
    await studio.until_state(await studio.submit(files), "submitted")
    # As when another disk is mounted there.
    (studio.project / "shot").rename(studio.project / "aside")
    (studio.project / "other").rename(studio.project / "shot")
    await studio.until_state(await studio.submit(files), "submitted")
    sent = studio.farm.manifests[EMAIL, "demo"]["demo/shot/scene.blend"].hash
    assert sent == blake3(b"other").hexdigest()
    assert len(read) == 3


@pytest.mark.skipif(os.name != "posix", reason="does not tell when a file was changed")
@pytest.mark.parametrize(
    ("settles_in", "age"),
    [
        # Of a tool that sets fixed times: it was changed just now, whatever it says.
        (3600.0, 24 * 3600),
        # Of a machine whose clock is ahead: it may be written again at that very time.
        (-1.0, -24 * 3600),
    ],
)
async def test_a_file_has_settled_when_all_of_its_times_are_past(
    studio: Studio,
    read: list[int],
    monkeypatch: pytest.MonkeyPatch,
    settles_in: float,
    age: int,
) -> None:
    monkeypatch.setattr("envoy.upload.hash_cache.SETTLED_SECONDS", settles_in)
    path = studio.write("scene.blend")
    then = time.time_ns() - age * 10**9
    os.utime(path, ns=(then, then))
    for _ in range(2):
        await studio.until_state(await studio.submit(), "submitted")
    assert len(read) == 2


async def test_whoever_is_in_doubt_has_all_files_read_again(start: Start, read: list[int]) -> None:
    studio = await start()
    await studio.sign_in()
    studio.write("scene.blend")
    for rehash, times in ((False, 1), (True, 2), (False, 2)):
        await start.stop()
        studio = await start(rehash=rehash)
        await studio.until_state(await studio.submit(), "submitted")
        assert len(read) == times


async def test_what_has_not_settled_is_read_again_though_nothing_of_it_has_changed(
    studio: Studio, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envoy.upload.hash_cache.SETTLED_SECONDS", 3600.0)
    studio.write("scene.blend")
    for _ in range(2):
        await studio.until_state(await studio.submit(), "submitted")
    assert len(read) == 2


async def test_what_changes_while_it_is_read_is_not_remembered_as_it_was(
    studio: Studio, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = studio.write("scene.blend", b"first")

    def disturbed(file: BinaryIO, *args: Any) -> tuple[str, int]:
        read.append(file.fileno())
        found = hash_open(file, *args)
        if len(read) == 2:
            path.write_bytes(b"other")
        return found

    monkeypatch.setattr("envoy.upload.hash_cache.hash_open", disturbed)
    for _ in range(3):
        await studio.until_state(await studio.submit(), "submitted")
        if len(read) == 1:
            path.touch()  # The farm has these bytes, and they are read again.
    sent = studio.farm.manifests[EMAIL, "demo"]["demo/scene.blend"].hash
    assert sent == blake3(b"other").hexdigest()
