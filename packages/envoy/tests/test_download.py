"""Results come home: complete, once, and nowhere else."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from blake3 import blake3
from envoy.journal import Download
from envoy.process.status_messages import Reason
from envoy.process.waiting import WaitingRoom
from envoy.watch.writing import PartFile
from envoy_fake_farm import EMAIL
from envoy_faults import Fault
from envoy_studio import Studio, settled, until, waits_for
from farm_protocol.jobs import JobState
from messages import saying, says

OUT = "demo/render_results/out"
WANTED = f"/{OUT}/.+"


async def test_results_land_without_a_pause(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/warm.png", b"warm")
    await settled(studio, submission_id, files_done=1)
    # Whoever pauses from now on does so for ever.
    monkeypatch.setattr(WaitingRoom, "pause", lambda self, seconds: asyncio.Event().wait())
    studio.farm.output(submission_id, f"{OUT}/sub/frame 0001.png", b"pixels")
    target = studio.results / "sub" / "frame 0001.png"
    await until(target.exists)
    assert target.read_bytes() == b"pixels"
    downloads = await settled(studio, submission_id, files_done=2)
    assert downloads["bytes_done"] == downloads["bytes_total"] == 10
    assert parts(studio.root) == []


async def test_many_and_large_results(studio: Studio) -> None:
    submission_id = await studio.submitted()
    large = os.urandom(5_000_000)
    studio.farm.output(submission_id, f"{OUT}/large.exr", large)
    for number in range(200):
        studio.farm.output(submission_id, f"{OUT}/{number}.png", f"frame {number}".encode())
    await settled(studio, submission_id, files_done=201, files_total=201)
    assert (studio.results / "large.exr").read_bytes() == large
    assert (studio.results / "199.png").read_bytes() == b"frame 199"


async def test_results_that_no_watch_wants_and_foreign_ones_stay_on_the_farm(
    studio: Studio,
) -> None:
    submission_id = await studio.submitted(
        watch_files={"/demo/render_results/out/.+[.]png": str(studio.results)}
    )
    studio.farm.output(submission_id, f"{OUT}/a.exr", b"not wanted")
    studio.farm.output(submission_id, "demo/render_results/other/a.png", b"not of this one")
    studio.farm.output(submission_id, f"{OUT}/a.png", b"wanted")
    await settled(studio, submission_id, files_total=1, files_done=1)
    assert [path.name for path in studio.results.iterdir()] == ["a.png"]


async def test_the_same_result_again_costs_nothing_and_a_newer_one_replaces(studio: Studio) -> None:
    submission_id = await studio.submitted()
    for data in (b"one", b"one", b"two"):
        studio.farm.output(submission_id, f"{OUT}/f.png", data)
        target = studio.results / "f.png"
        await until(partial(holds, target, data))
        await settled(studio, submission_id, files_done=1, files_total=1)
    # One of the same size and time is believed without being read.
    status = target.stat()
    target.write_bytes(b"owt")
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    studio.farm.output(submission_id, f"{OUT}/f.png", b"two")
    await settled(studio, submission_id, files_done=1, files_total=1)
    studio.farm.output(submission_id, f"{OUT}/g.png", b"g")
    await settled(studio, submission_id, files_done=2, files_total=2)
    assert target.read_bytes() == b"owt"
    assert studio.farm.count("GET", "/v1/blobs/") == 3
    target.unlink()
    studio.farm.output(submission_id, f"{OUT}/f.png", b"two")
    await until(target.exists)


async def test_a_file_that_is_there_already_is_not_fetched(studio: Studio) -> None:
    submission_id = await studio.submitted()
    studio.results.mkdir()
    (studio.results / "f.png").write_bytes(b"same")
    # As if Envoy had been killed while it fetched it, and somebody else had brought it since.
    (studio.results / ".f.png.1.part").write_bytes(b"sa")
    studio.farm.output(submission_id, f"{OUT}/f.png", b"same")
    await settled(studio, submission_id, files_done=1)
    assert studio.farm.count("GET", "/v1/blobs/") == 0
    assert [path.name for path in studio.results.iterdir()] == ["f.png"]


@pytest.mark.parametrize(
    ("before", "data", "seconds"),
    [(b"frame", b"other", 1), (b"frame", b"longer", 0), (b"", b"other", None)],
)
async def test_a_result_that_is_another_by_now_comes_again(
    studio: Studio, before: bytes, data: bytes, seconds: int | None
) -> None:
    submission_id = await studio.submitted()
    target = studio.results / "f.png"
    studio.farm.output(submission_id, f"{OUT}/f.png", before)
    await settled(studio, submission_id, files_done=1, files_total=1)
    written = target.stat().st_mtime_ns
    target.write_bytes(data)
    # Of 1970 where Envoy has written none of this content, and so remembers no time.
    stamp = 0 if seconds is None else written + seconds * 10**9
    os.utime(target, ns=(stamp, stamp))
    studio.farm.output(submission_id, f"{OUT}/f.png", b"frame")
    await until(partial(holds, target, b"frame"))


async def test_a_later_submission_into_the_same_folder_wins(studio: Studio) -> None:
    first = await studio.submitted()
    second = await studio.submitted()
    studio.farm.output(first, f"{OUT}/f.png", b"first")
    studio.farm.output(second, f"{OUT}/f.png", b"second")
    await settled(studio, first, files_done=1)
    await settled(studio, second, files_done=1)
    assert (studio.results / "f.png").read_bytes() == b"second"


async def test_late_results_of_an_older_submission_replace_nothing(studio: Studio) -> None:
    first = await studio.submitted()
    second = await studio.submitted()
    studio.farm.output(first, f"{OUT}/a.png", b"first")
    await settled(studio, first, files_done=1)
    for name in ("a", "b"):
        studio.farm.output(second, f"{OUT}/{name}.png", b"second")
    await settled(studio, second, files_done=2)
    # Of the older one these are again, late, and one that only it has.
    for name in ("a", "b", "c"):
        studio.farm.output(first, f"{OUT}/{name}.png", b"late")
    await settled(studio, first, files_done=3, files_replaced=2)
    found = {path.name: path.read_bytes() for path in studio.results.iterdir()}
    assert found == {"a.png": b"second", "b.png": b"second", "c.png": b"late"}
    told = "later-submission-writes-same-files"
    warned = [" ".join((await studio.of(each))["warnings"]) for each in (first, second)]
    assert says(warned[0], told, "a.png, b.png")
    assert not says(warned[1], told)


async def test_a_result_waits_for_its_turn_and_the_older_one_gives_way(studio: Studio) -> None:
    first = await studio.submitted()
    second = await studio.submitted()
    studio.farm.faults.append(Fault("GET", "/v1/blobs/", "hold"))
    studio.farm.output(first, f"{OUT}/a.png", b"first")
    await until(studio.farm.held.is_set)
    # It is being written while the newer one comes.
    studio.farm.output(second, f"{OUT}/a.png", b"second")
    await settled(studio, first, files_replaced=1)
    studio.farm.released.set()
    await settled(studio, second, files_done=1)
    assert (studio.results / "a.png").read_bytes() == b"second"


@pytest.mark.parametrize("other", ["OUT", "out.", "o\u0308ut"])
async def test_names_that_are_one_folder_on_this_machine_count_as_one(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    monkeypatch.setattr("envoy.journal.places.FOLDS", True)
    name = "\u00f6ut" if other.startswith("o\u0308") else "out"
    folders = [str(studio.root / each) for each in (name, other)]
    first, second = [await studio.submitted(watch_files={WANTED: each}) for each in folders]
    studio.farm.output(second, f"{OUT}/a.png", b"second")
    await settled(studio, second, files_done=1)
    studio.farm.output(first, f"{OUT}/a.png", b"late")
    await settled(studio, first, files_replaced=1)


async def test_folders_that_lie_in_each_other_have_places_in_common(studio: Studio) -> None:
    first = await studio.submitted(watch_files={WANTED: str(studio.results / "sub")})
    second = await studio.submitted(watch_files={WANTED: str(studio.results)})
    studio.farm.output(second, f"{OUT}/sub/a.png", b"second")
    await settled(studio, second, files_done=1)
    studio.farm.output(first, f"{OUT}/a.png", b"late")
    await settled(studio, first, files_replaced=1)
    assert (studio.results / "sub" / "a.png").read_bytes() == b"second"


async def test_another_farm_behind_the_same_address_is_read_from_the_start(studio: Studio) -> None:
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/a.png", b"a")
    await settled(studio, submission_id, files_done=1)
    studio.farm.farm_id = "farm-2"
    studio.farm.feed.clear()
    studio.farm.output(submission_id, f"{OUT}/b.png", b"b")
    # The feed is asked with a cursor that means nothing to this farm.
    studio.farm.feed += [studio.farm.feed[-1]] * 10
    await until((studio.results / "b.png").exists)


@pytest.mark.parametrize("kind", ["drop", "internal", "corrupt"])
async def test_passing_trouble_only_delays(studio: Studio, kind: str) -> None:
    submission_id = await studio.submitted()
    studio.farm.faults = [Fault("GET", "/v1/blobs/", kind, 2)]
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    assert (studio.results / "f.png").read_bytes() == b"pixels"
    assert parts(studio.root) == []
    assert held_open(studio.results) == []


@pytest.mark.parametrize("kind", ["drop", "internal"])
async def test_trouble_of_the_feed_only_delays(studio: Studio, kind: str) -> None:
    studio.farm.faults = [Fault("GET", "/v1/changes", kind, 2)]
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)


async def test_a_result_that_the_farm_lost_is_said_so(studio: Studio) -> None:
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels", blob_hash="0" * 64)
    studio.farm.blobs.clear()
    downloads = await settled(studio, submission_id, files_failed=1)
    assert downloads["message"] == saying("farm-no-longer", "f.png")
    assert downloads["reason"] == Reason.GONE


@pytest.mark.parametrize(
    "path",
    [
        "../escaped.png",
        "../../escaped.png",
        "sub/../../escaped.png",
        "/escaped.png",
        "a//b.png",
        "C:/escaped.png",
        "..\\escaped.png",
        "nul.png",
        "line\nbreak.png",
        ".",
    ],
)
async def test_a_malicious_farm_cannot_leave_the_folder(studio: Studio, path: str) -> None:
    submission_id = await studio.submitted()
    before = files(studio.root)
    studio.farm.output(submission_id, f"{OUT}/{path}", b"evil")
    downloads = await settled(studio, submission_id, files_failed=1)
    assert says(downloads["message"], "result-refused")
    assert downloads["reason"] == Reason.UNSAFE_PATH
    studio.farm.output(submission_id, f"{OUT}/good.png", b"good")
    await settled(studio, submission_id, files_done=1)
    assert files(studio.root) - before == {studio.results / "good.png"}
    assert Path("/escaped.png") not in files(Path("/"), "*")


async def test_a_link_out_of_the_folder_is_not_followed(studio: Studio) -> None:
    submission_id = await studio.submitted()
    outside = studio.root / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    studio.results.mkdir()
    (studio.results / "link").symlink_to(outside)
    (studio.results / "file").symlink_to(outside / "precious")
    studio.farm.output(submission_id, f"{OUT}/link/evil.png", b"evil")
    studio.farm.output(submission_id, f"{OUT}/file", b"replaces the link, not what it points to")
    await settled(studio, submission_id, files_failed=1, files_done=1)
    assert [path.name for path in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_bytes() == b"precious"
    assert not (studio.results / "file").is_symlink()


async def test_more_bytes_than_announced_are_cut_off(studio: Studio) -> None:
    submission_id = await studio.submitted()
    data = b"x" * 100_000
    studio.farm.output(submission_id, f"{OUT}/f.png", data, blake3(data).hexdigest(), size=10)
    await settled(studio, submission_id, files_failed=1)
    assert files(studio.results) == set()


async def test_a_folder_that_cannot_be_written_holds_up_only_itself(studio: Studio) -> None:
    blocked, free = studio.root / "blocked", studio.root / "free"
    blocked.write_bytes(b"a file stands where the folder should be")
    submission_id = await studio.submitted(watch_files={".+": str(blocked), ".*": str(free)})
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await until((free / "f.png").exists)

    async def said() -> object:
        downloads = (await studio.of(submission_id))["downloads"]
        return str(blocked) in downloads["message"] and downloads

    downloads = await until(said)
    assert downloads["files_failed"] == 0
    assert downloads["reason"] == Reason.FOLDER
    told = await studio.activity()
    assert str(blocked) in told["waiting_for"]
    assert told["waits_for"] == Reason.FOLDER
    blocked.unlink()
    await until((blocked / "f.png").exists)
    await settled(studio, submission_id, files_done=2, message="")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_loses_nothing(studio: Studio, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 900_000)
    results = small_disk / "results"
    submission_id = await studio.submitted(watch_files={".+": str(results)})
    frames = {f"{n}.png": os.urandom(90_000) for n in range(8)}
    for name, data in frames.items():
        studio.farm.output(submission_id, f"{OUT}/{name}", data)

    async def said() -> object:
        return says(
            (await studio.of(submission_id))["downloads"]["message"],
            "disk-full-make-room-downloads",
        )

    await until(said)
    ballast.unlink()
    await settled(studio, submission_id, files_done=8, files_failed=0, message="")
    for name, data in frames.items():
        assert (results / name).read_bytes() == data
    assert parts(results) == []


async def test_a_full_disk_is_tried_by_one_download_at_a_time(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = studio.root / "bad", studio.root / "good"
    full = {str(bad)}

    class FullDisk(PartFile):
        def __init__(self, download: Download) -> None:
            if download.folder in full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().__init__(download)

    monkeypatch.setattr("envoy.watch.download.PartFile", FullDisk)
    watches = {f"/{OUT}/{folder.name}/.+": str(folder) for folder in (bad, good)}
    submission_id = await studio.submitted(watch_files=watches)
    contents = [b"frame %d" % number for number in range(3)]
    for number, data in enumerate(contents):
        studio.farm.output(submission_id, f"{OUT}/bad/{number}.png", data)
    # The first three may have begun together; one more is a second try, which comes after them.
    await until(lambda: studio.farm.count("GET", "/v1/blobs/") > len(contents))
    tries = [Fault("GET", f"/v1/blobs/{blake3(data).hexdigest()}", "hold") for data in contents]
    studio.farm.faults = list(tries)
    await until(studio.farm.held.is_set)
    # One is being tried, for as long as we like. The other folder's results come meanwhile.
    for number in range(5):
        studio.farm.output(submission_id, f"{OUT}/good/{number}.png", b"good %d" % number)
        await until((good / f"good/{number}.png").exists)
    assert [each.times for each in tries].count(0) == 1
    full.clear()
    studio.farm.released.set()
    await settled(studio, submission_id, files_done=8, files_failed=0, message="")


async def test_a_full_disk_is_told_wherever_scripts_look(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True

    class FullDisk(PartFile):
        def __init__(self, download: Download) -> None:
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().__init__(download)

    older = await studio.submitted()
    studio.farm.output(older, f"{OUT}/old.png", b"old")
    await settled(studio, older, files_done=1)
    monkeypatch.setattr("envoy.watch.download.PartFile", FullDisk)
    newer = await studio.submitted()
    studio.farm.change(f"{newer}-0", state=JobState.COMPLETED)
    studio.farm.output(newer, f"{OUT}/new.png", b"new")
    told = saying("disk-full-make-room-downloads", studio.results)
    await waits_for(studio, told)
    published = (await studio.http.get("/project-status/demo")).json()
    assert (published["State"], says(published["Message"], told)) == ("Submitted", True)
    progress = (await studio.http.get("/envoy/projects/demo/progress")).json()
    assert (progress["state"], says(progress["message"], told)) == ("submitted", True)
    assert progress["reason"] == Reason.DISK_FULL
    downloads = (await studio.of(newer))["downloads"]
    assert says(downloads["message"], told)
    assert downloads["reason"] == (await studio.activity())["waits_for"] == Reason.DISK_FULL
    # Nothing of the older one is left to come.
    assert (await studio.of(older))["downloads"]["message"] == ""
    full = False
    await settled(studio, newer, files_done=1, message="", reason=Reason.NONE)
    published = (await studio.http.get("/project-status/demo")).json()
    assert not says(published["Message"], told)


def holds(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


def files(root: Path, pattern: str = "**/*") -> set[Path]:
    return {path for path in root.glob(pattern) if path.is_file() and "envoy" not in path.parts}


def held_open(folder: Path) -> list[str]:
    """Return what this process holds open in a folder, and the folder, where the system tells."""
    found = []
    for each in Path("/proc/self/fd").glob("*"):
        with suppress(FileNotFoundError):  # That of the list itself.
            found.append(os.readlink(each))
    return [path for path in found if path.startswith(str(folder))]


def parts(root: Path) -> list[Path]:
    return list(root.rglob("*.part"))


async def test_jobs_follow_the_feed(studio: Studio) -> None:
    submission_id = await studio.submitted()
    _, submission = studio.farm.submissions[submission_id]
    done = submission.jobs[0].model_copy(update={"state": JobState.COMPLETED})
    studio.farm.emit(EMAIL, done)

    async def seen() -> object:
        return (await studio.of(submission_id))["jobs"][0]["state"] == "completed"

    await until(seen)


async def test_a_locked_out_account_does_not_hold_up_another(studio: Studio) -> None:
    first = await studio.submitted()
    studio.farm.faults = [Fault("GET", "/v1/blobs/", "not_authenticated", 6)]
    for number in range(6):
        studio.farm.output(first, f"{OUT}/{number}.png", b"%d" % number)
    await until(lambda: studio.farm.count("GET", "/v1/blobs/") >= 4)
    other = {"Username": "other@example.com", "AccessKey": "other"}
    assert (await studio.http.post("/auth", json=other)).status_code == 200
    studio.farm.faults.clear()
    theirs = studio.root / "theirs"
    second = await studio.submitted(watch_files={".+": str(theirs)})
    studio.farm.output(second, f"{OUT}/mine.png", b"mine")
    await until((theirs / "mine.png").exists)
    assert not studio.results.exists()
    await studio.sign_in()
    await settled(studio, first, files_done=6)


async def test_a_second_sign_in_does_not_end_the_watching(studio: Studio) -> None:
    # A login withdraws the key of the one before, with which the farm is being asked just then.
    submission_id = await studio.submitted()
    studio.farm.faults = [Fault("GET", "/v1/changes", "hold")]
    studio.farm.output(submission_id, f"{OUT}/first.png", b"pixels")
    await until(studio.farm.held.is_set)
    studio.farm.keys[EMAIL] = "another key"
    await studio.sign_in()
    studio.farm.released.set()
    studio.farm.output(submission_id, f"{OUT}/second.png", b"pixels")
    await until((studio.results / "second.png").exists)
