"""Whoever may write to a download folder makes no result land elsewhere, and holds up no other."""

import itertools
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from envoy.process.status_messages import Reason
from envoy.watch.writing import PartFile
from envoy_start import Start
from envoy_studio import Studio, settled, until, waits_for
from messages import saying, says

OUT = "demo/render_results/out"
FILES = 400


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do something again and again in a thread."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Exchanges:
    """Puts a link in the place of a folder, and the folder back, ``count`` times so far.

    Whoever writes to the folder may make it anew while it is away. It then stays where it was moved
    to, for the next one to move aside has a name of its own.
    """

    def __init__(self, folder: Path, outside: Path, rest_seconds: float = 0.0) -> None:
        self.folder, self.outside, self.rest_seconds = folder, outside, rest_seconds
        self.count = 0
        self._names = itertools.count(1)

    def once(self) -> None:
        number = next(self._names)
        aside, link = (self.folder.with_name(f"{name}{number}") for name in ("aside", "link"))
        link.symlink_to(self.outside)
        with suppress(OSError):
            self.folder.rename(aside)
        try:
            link.rename(self.folder)
        except OSError:
            link.unlink()
        else:
            self.count += 1
            time.sleep(self.rest_seconds)
            self.folder.unlink()
        with suppress(OSError):
            aside.rename(self.folder)
        time.sleep(self.rest_seconds)


@pytest.mark.skipif(os.name != "posix", reason="links need rights")
async def test_folders_that_are_exchanged_for_links_lead_nothing_outside(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder that is just missing makes its downloads pause.
    monkeypatch.setattr("envoy.watch.lanes.pause_seconds", lambda failures: 0.001)
    submission_id = await studio.submitted()
    outside = studio.root / "outside"
    outside.mkdir()
    (studio.results / "sub").mkdir(parents=True)
    exchanges = Exchanges(studio.results / "sub", outside)

    with meanwhile(exchanges.once):
        for number in range(FILES):
            studio.farm.output(submission_id, f"{OUT}/sub/{number}.png", b"frame %d" % number)

        async def attended() -> object:
            downloads = (await studio.of(submission_id))["downloads"]
            settled = downloads["files_done"] + downloads["files_failed"]
            return settled >= FILES // 2 and exchanges.count > 10

        await until(attended)
    assert list(outside.iterdir()) == []
    # Now that it holds still, everything that was not refused comes.

    async def all_settled() -> object:
        downloads = (await studio.of(submission_id))["downloads"]
        return downloads["files_done"] + downloads["files_failed"] == FILES and downloads

    downloads = await until(all_settled)
    assert list(outside.iterdir()) == []
    # In the folder, or in one that was moved aside.
    assert (
        len({path.name for path in studio.results.rglob("[0-9]*.png")}) == downloads["files_done"]
    )


@pytest.mark.skipif(os.name != "posix", reason="links need rights")
async def test_the_download_folder_itself_may_be_a_link(studio: Studio) -> None:
    real = studio.root / "real"
    real.mkdir()
    studio.results.symlink_to(real)
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/sub/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    assert (real / "sub" / "f.png").read_bytes() == b"pixels"


@pytest.mark.skipif(os.name != "posix", reason="links need rights")
@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("started", [False, True])
async def test_a_link_in_the_place_of_the_download_folder_is_not_followed(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, above: bool, started: bool
) -> None:
    monkeypatch.setattr("envoy.watch.lanes.pause_seconds", lambda failures: 0.01)
    folder = studio.root / "show" / "results"
    exchanged = folder.parent if above else folder
    folder.mkdir(parents=True)
    submission_id = await studio.submitted(watch_files={f"/{OUT}/.+": str(folder)})
    if started:
        studio.farm.output(submission_id, f"{OUT}/first.png", b"pixels")
        await settled(studio, submission_id, files_done=1)
    outside = studio.root / "outside"
    (outside / "results").mkdir(parents=True)
    before = set(outside.rglob("*"))
    aside = studio.root / "aside"
    exchanged.rename(aside)
    exchanged.symlink_to(outside)
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    studio.farm.output(submission_id, f"{OUT}/sub/g.png", b"pixels")
    await waits_for(studio, saying("folder-became-link", exchanged))
    assert (await studio.activity())["waits_for"] == Reason.FOLDER_EXCHANGED
    assert set(outside.rglob("*")) == before
    # It is no fault of the results: they come once the folder is there again.
    exchanged.unlink()
    aside.rename(exchanged)
    await settled(studio, submission_id, files_done=2 + started, files_failed=0)
    assert (folder / "f.png").read_bytes() == (folder / "sub" / "g.png").read_bytes() == b"pixels"
    assert set(outside.rglob("*")) == before
    assert (await studio.activity())["waiting_for"] == ""


@pytest.mark.skipif(os.name != "posix", reason="links need rights")
async def test_a_link_that_takes_the_place_of_the_download_folder_while_frames_come(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envoy.watch.lanes.pause_seconds", lambda failures: 0.001)
    submission_id = await studio.submitted()
    outside = studio.root / "outside"
    outside.mkdir()
    studio.results.mkdir()
    # Long enough for a few frames to be led there.
    exchanges = Exchanges(studio.results, outside, rest_seconds=0.005)
    files = itertools.count(1)
    with meanwhile(exchanges.once):

        async def attended() -> object:
            studio.farm.output(submission_id, f"{OUT}/{next(files)}.png", b"pixels")
            done = (await studio.of(submission_id))["downloads"]["files_done"]
            return done > FILES // 16 and exchanges.count > 10

        await until(attended)
    assert list(outside.iterdir()) == []
    await settled(studio, submission_id, files_done=next(files) - 1, files_failed=0)
    assert list(outside.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="links need rights")
async def test_a_link_to_the_download_folder_counts_as_it_was_when_the_job_was_submitted(
    studio: Studio,
) -> None:
    real, other = studio.root / "real", studio.root / "other"
    real.mkdir()
    other.mkdir()
    studio.results.symlink_to(real)
    submission_id = await studio.submitted()
    studio.results.unlink()
    studio.results.symlink_to(other)
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    assert (real / "f.png").read_bytes() == b"pixels"
    assert list(other.iterdir()) == []
    # A new submission is for where it leads now.
    again = await studio.submitted()
    studio.farm.output(again, f"{OUT}/f.png", b"others")
    await settled(studio, again, files_done=1)
    assert (other / "f.png").read_bytes() == b"others"


@pytest.mark.skipif(os.name != "posix", reason="links need rights")
async def test_downloads_of_an_older_envoy_go_on(studio: Studio, start: Start) -> None:
    # Its journal does not say where the folder of a watch led, and messages were called otherwise.
    real = studio.root / "real"
    real.mkdir()
    studio.results.symlink_to(real)
    submission_id = await studio.submitted()
    studio.farm.change(f"{submission_id}-0", message="Waits.")

    async def told() -> object:
        return [job["message"] for job in (await studio.of(submission_id))["jobs"]] == ["Waits."]

    await until(told)
    await start.stop()
    with closing(sqlite3.connect(studio.root / "envoy" / "journal.sqlite3")) as journal:
        journal.execute("ALTER TABLE watches DROP COLUMN real_folder")
        for table in ("entries", "downloads"):
            journal.execute(f"ALTER TABLE {table} RENAME COLUMN message TO sentence")
            journal.execute(f"ALTER TABLE {table} DROP COLUMN reason")
        journal.execute("DROP TABLE upload_folders")
        journal.execute("ALTER TABLE hashes DROP COLUMN ctime_ns")
        journal.execute("ALTER TABLE upload_files DROP COLUMN stamp")
        journal.execute("ALTER TABLE entries DROP COLUMN revision")
        journal.execute("DROP INDEX downloads_by_place")
        journal.execute("ALTER TABLE downloads DROP COLUMN place")
        journal.execute("UPDATE jobs SET body = replace(body, '\"message\":', '\"sentence\":')")
        journal.commit()
        journal.execute("PRAGMA user_version = 3")
    studio = await start()
    assert await told()
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    assert (real / "f.png").read_bytes() == b"pixels"


@pytest.mark.parametrize("anew", [False, True])
async def test_a_download_folder_may_be_cleared_away_and_made_anew(
    studio: Studio, anew: bool
) -> None:
    # Another folder on the disk, in the same place.
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    studio.results.rename(studio.root / "archive")
    if anew:
        studio.results.mkdir()
    studio.farm.output(submission_id, f"{OUT}/g.png", b"pixels")
    await settled(studio, submission_id, files_done=2)
    assert [path.name for path in studio.results.iterdir()] == ["g.png"]


@pytest.mark.skipif(os.name != "posix", reason="links need rights")
async def test_a_link_to_a_neighbour_is_not_followed_either(studio: Studio) -> None:
    (studio.results / "final").mkdir(parents=True)
    (studio.results / "sub").symlink_to("final")
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/sub/f.png", b"pixels")
    downloads = await settled(studio, submission_id, files_failed=1)
    assert says(downloads["message"], "leads-through-symbolic-link", "sub")
    assert list((studio.results / "final").iterdir()) == []


def _fifo(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _link_outside(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def _link_to_zeros(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def _lost_link(path: Path, outside: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.skipif(os.name != "posix", reason="has no such files")
@pytest.mark.parametrize("data", [b"", b"precious", b"pixels"])
@pytest.mark.parametrize("put", [_fifo, _socket, _link_outside, _link_to_zeros, _lost_link])
async def test_whatever_stands_in_the_place_of_a_result_is_replaced(
    studio: Studio, put: Callable[[Path, Path], None], data: bytes
) -> None:
    # Of the size of what the link leads to, and of the size that devices say they have.
    outside = studio.root / "precious"
    outside.write_bytes(b"precious")
    studio.results.mkdir()
    put(studio.results / "f.png", outside)
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/f.png", data)
    await settled(studio, submission_id, files_done=1)
    assert not (studio.results / "f.png").is_symlink()
    assert (studio.results / "f.png").read_bytes() == data
    assert outside.read_bytes() == b"precious"


async def test_a_folder_in_the_place_of_a_result_fails_it_alone(studio: Studio) -> None:
    (studio.results / "f.png").mkdir(parents=True)
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    downloads = await settled(studio, submission_id, files_failed=1)
    assert says(downloads["message"], "folder-in-place-of-file", studio.results / "f.png")
    studio.farm.output(submission_id, f"{OUT}/g.png", b"pixels")
    await settled(studio, submission_id, files_done=1, files_failed=1)


@pytest.mark.parametrize("first", ["a", "a/b"])
async def test_a_result_beside_one_that_is_its_folder_fails_alone(
    studio: Studio, first: str
) -> None:
    (second,) = {"a", "a/b"} - {first}
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/{first}", b"pixels")
    await settled(studio, submission_id, files_done=1)
    studio.farm.output(submission_id, f"{OUT}/{second}", b"pixels")
    studio.farm.output(submission_id, f"{OUT}/c", b"pixels")
    downloads = await settled(studio, submission_id, files_done=2, files_failed=1)
    assert says(downloads["message"], "cannot-downloaded", second)
    assert not list(studio.results.rglob("*.part"))


@pytest.mark.skipif(os.name != "posix", reason="links need rights")
@pytest.mark.parametrize("named", [False, True])
async def test_a_link_in_a_project_is_no_folder_for_results(studio: Studio, named: bool) -> None:
    # Whoever made the project may have put it there.
    home = studio.root / "home"
    home.mkdir()
    studio.write("scene.blend")
    folder = studio.project / "out"
    folder.symlink_to(home)
    watches = {f"/{OUT}/.+": str(folder / "below")} if named else {}
    answer = await studio.http.post("/project-submit", json=studio.body(watch_files=watches))
    assert answer.status_code == 400
    assert says(answer.json()["message"], "link-leads-out-of-project", home)
    # One that stays inside is fine, and so is a place that is named as what it is.
    folder.unlink()
    folder.symlink_to("elsewhere")
    await studio.submitted(watch_files=watches)
    await studio.submitted(watch_files={f"/{OUT}/.+": str(home)})


SPELLINGS = {
    "as it is": ("real/demo/out", "real/demo"),
    "both by a link": ("link/demo/out", "link/demo"),
    "the project by a link": ("real/demo/out/x", "link/demo"),
    "the folder by a link": ("link/demo/out", "real/demo"),
    "slashes and dots": ("real//./demo/out", "real/demo/."),
    "up through a link": ("home/up/../demo/out", "real/demo"),
    "by a link to the link": ("shortcut/x", "real/demo"),
    "as the process sees it": ("/proc/self/root", "real/demo"),
}


@pytest.mark.skipif(not os.path.exists("/proc/self/root"), reason="Linux spells so")
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_link_in_the_project_leads_no_watch_out_however_it_is_spelled(
    studio: Studio, spelling: str
) -> None:
    root = studio.root
    for folder in ("real/demo", "real/other", "home"):
        (root / folder).mkdir(parents=True)
    (root / "real/demo/scene.blend").write_bytes(b"scene")
    (root / "real/demo/out").symlink_to(root / "home")
    (root / "link").symlink_to(root / "real")
    (root / "home/up").symlink_to(root / "real/other")
    (root / "shortcut").symlink_to(root / "real/demo/out")
    folder, project = (f"{root}/{each}" for each in SPELLINGS[spelling])
    if spelling == "as the process sees it":
        folder = f"/proc/self/root{root}/real/demo/out"
    body = studio.body(watch_files={"/demo/render_results/out/.+": folder})
    body["project_request"]["params"]["local_root"] = project
    body["project_files"]["localRoot"] = project
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["watch_files[/demo/render_results/out/.+]"]
    # Named itself it is its user's own wish.
    body["watch_files"] = {"/demo/render_results/out/.+": str(root / "home")}
    assert (await studio.http.post("/project-submit", json=body)).status_code == 201


@pytest.mark.skipif(os.name != "posix", reason="the folder of an open file stays where it is")
async def test_a_download_folder_that_is_moved_just_before_a_file_is_finished(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = studio.root / "archive"

    class Moved(PartFile):
        def finish(self) -> int:
            if not archive.exists():
                studio.results.rename(archive)
            return super().finish()

    monkeypatch.setattr("envoy.watch.download.PartFile", Moved)
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    # It is where the watch wants it, and nothing of it is where that folder is now.
    assert [path.name for path in studio.results.iterdir()] == ["f.png"]
    assert list(archive.iterdir()) == []
