"""Of a project regular files are taken, links followed inside it, and the rest is named."""

import io
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import envoy.process.slots
import envoy.upload.scan
import envoy.upload.transfer
import farm_protocol.inside
import pytest
from envoy_fake_farm import EMAIL, FakeFarm
from envoy_faults import Fault
from envoy_start import Start
from envoy_studio import Studio, until
from farm_protocol.errors import ErrorCode
from farm_protocol.hashing import hash_open
from messages import saying, says

pytestmark = pytest.mark.skipif(os.name != "posix", reason="has no such files")


def whole(studio: Studio) -> dict[str, str]:
    return {"localRoot": str(studio.project), "remoteRoot": "/demo"}


async def warnings(studio: Studio) -> str:
    status = (await studio.http.get("/project-status/demo")).json()
    return "\n".join(status["Warnings"])


def secret(studio: Studio) -> Path:
    path = studio.root / "elsewhere" / "secret"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"secret")
    return path


def sent(studio: Studio) -> set[str]:
    return set(studio.farm.manifests[EMAIL, "demo"])


async def test_what_is_no_file_is_skipped_and_named(studio: Studio) -> None:
    studio.write("tex/wood.png")
    os.mkfifo(studio.project / "tex" / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(studio.project / "tex" / "socket"))
    (studio.project / "zeros").symlink_to("/dev/zero")
    (studio.project / "memory").symlink_to("/proc/self/mem")
    (studio.project / "lost").symlink_to("nowhere")
    (studio.project / "itself").symlink_to("itself")
    submission_id = await studio.submitted(project_files=whole(studio))
    assert sent(studio) == {"demo/scene.blend", "demo/tex/wood.png"}
    told = await warnings(studio)
    for name in ("tex/pipe", "tex/socket", "zeros", "memory", "lost", "itself"):
        assert str(studio.project / name) in told, name
    assert (await studio.of(submission_id))["warnings"]
    # As people read it.
    url = str(studio.http.base_url)
    shown = await _envoy_status(url)
    assert "tex/pipe" in shown.replace("\n", "")


async def _envoy_status(url: str) -> str:
    import asyncio
    import sys

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "envoy", "status", "--url", url),
        stdout=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "1000"},
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_links_inside_are_followed_and_those_outside_not(studio: Studio) -> None:
    studio.write("tex/wood.png", b"wood")
    (studio.project / "all").symlink_to("tex")
    (studio.project / "wood.png").symlink_to("tex/wood.png")
    (studio.project / "tex" / "up").symlink_to("..")
    (studio.project / "circle").symlink_to("circle")
    (studio.project / "secret").symlink_to(secret(studio))
    (studio.project / "secrets").symlink_to(secret(studio).parent)
    await studio.submitted(project_files=whole(studio))
    taken = {"demo/scene.blend", "demo/tex/wood.png", "demo/all/wood.png", "demo/wood.png"}
    assert sent(studio) == taken
    assert b"secret" not in studio.farm.blobs.values()
    told = await warnings(studio)
    outside = "file-outside-project-skipped"
    assert says(told, outside, studio.project / "secret", secret(studio))
    assert says(told, outside, studio.project / "secrets", secret(studio).parent)
    assert f"add_files('{secret(studio).parent}', ...)" in told
    assert says(told, "link-skipped-points-back-folder", "tex/up")
    unreadable = saying("link-target-unreadable", studio.project / "circle")
    assert says(told, "link-skipped-leads", studio.project / "circle", unreadable)


async def test_a_folder_that_is_added_by_itself_is_inside(studio: Studio) -> None:
    studio.write("scene.blend")
    (studio.project / "shelf").symlink_to(secret(studio).parent)
    groups = [
        whole(studio),
        {"localRoot": str(secret(studio).parent), "remoteRoot": "/demo/more"},
    ]
    await studio.submitted(project_files=groups)
    assert sent(studio) == {"demo/scene.blend", "demo/shelf/secret", "demo/more/secret"}
    assert "shelf" not in await warnings(studio)


@pytest.mark.parametrize("name", ["link.blend", "links/secret"])
async def test_a_link_outside_that_is_named_is_refused_with_what_to_do(
    studio: Studio, name: str
) -> None:
    studio.write("scene.blend")
    (studio.project / "link.blend").symlink_to(secret(studio))
    (studio.project / "links").symlink_to(secret(studio).parent)
    answer = await studio.http.post("/project-submit", json=studio.body(["scene.blend", name]))
    assert answer.status_code == 400
    (message,) = answer.json()["errors"]["project_files.files"]
    assert says(message, "file-outside-project-skipped", secret(studio), secret(studio).parent)
    # Found by the client in a folder, it is skipped like others.
    files = whole(studio) | {"files": ["scene.blend", name], "named": ["scene.blend"]}
    await studio.submitted(project_files=files)
    assert sent(studio) == {"demo/scene.blend"}
    assert says(await warnings(studio), "file-outside-project-skipped")


async def test_what_the_client_has_skipped_is_in_the_status(studio: Studio) -> None:
    await studio.submitted(skipped_files=["/p/x was left alone."])
    assert "/p/x was left alone." in await warnings(studio)


OF_THE_SYSTEM = ["/dev", "/proc", "/sys", "/dev/fd", "/proc/self/fd"]
FOLDERS = [folder for folder in OF_THE_SYSTEM if os.path.isdir(folder)]


@pytest.mark.parametrize("folder", OF_THE_SYSTEM)
async def test_folders_of_the_system_are_no_project(studio: Studio, folder: str) -> None:
    studio.write("scene.blend")
    groups = [whole(studio), {"localRoot": folder, "remoteRoot": "/demo/x"}]
    answer = await studio.http.post("/project-submit", json=studio.body(project_files=groups))
    assert answer.status_code == 400
    there = folder in FOLDERS
    name = "cannot-project-holds-no-ordinary" if there else "folder-does-not-exist"
    assert says(answer.json()["message"], name, folder)


def chain(folder: Path, links: int, before: str = "") -> Path:
    """Make links of which each leads to the next, and the last one to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(links):
        (folder / f"link{number}").symlink_to(f"{before}link{number + 1}")
    (folder / f"link{links}").write_bytes(b"x")
    return folder / "link0"


@pytest.mark.parametrize("before", ["", "inner/../" * 400], ids=["plain", "long"])
async def test_a_long_chain_of_links_is_not_followed(studio: Studio, before: str) -> None:
    studio.write("scene.blend")
    (studio.project / "links" / "inner").mkdir(parents=True)
    first = chain(studio.project / "links", 1500 if not before else 100, before)
    body = studio.body()
    body["project_files"] = [whole(studio)]
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 201, answer.text
    assert says(await warnings(studio), "link-skipped-leads", first)
    for folder in (first / "out", studio.project / ("n" * 300)):
        body["watch_files"] = {"/demo/.+": str(folder)}
        answer = await studio.http.post("/project-submit", json=body)
        assert answer.status_code == 400, answer.text
        assert list(answer.json()["errors"]) == ["watch_files[/demo/.+]"]
    body = studio.body()
    body["project_files"] = [{"localRoot": "/" + "n" * 300, "remoteRoot": "/demo"}]
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 400, answer.text


async def test_folders_that_link_each_other_end(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy.upload.scan, "MOST_LINKED_FOLDERS", 100)
    for number in range(9):
        studio.write(f"{number}/file")
        for other in range(9):
            (studio.project / str(number) / f"to {other}").symlink_to(f"../{other}")
    await studio.submitted(project_files=whole(studio))
    assert 10 <= len(sent(studio)) < 200
    told = await warnings(studio)
    assert any(
        says(told, each) for each in ("link-skipped-more-than-folders", "more-skipped-see-log")
    )


async def test_a_deep_folder_is_no_fault_of_envoy(studio: Studio) -> None:
    studio.write("scene.blend")
    deep = studio.project.joinpath(*["d"] * 260)
    deep.mkdir(parents=True)
    await studio.submitted(project_files=whole(studio))
    assert says(await warnings(studio), "skipped-folders-deep", 250)


# Between the look and the sending


@pytest.mark.parametrize("put", ["fifo", "link", "folder link", "folder"])
async def test_a_file_that_is_exchanged_later_is_not_sent(studio: Studio, put: str) -> None:
    path = studio.write("tex/wood.png", b"a longer texture than the secret")
    secret(studio)
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    studio.write("scene.blend")
    submission_id = await studio.submit(project_files=whole(studio))
    await until(studio.farm.held.is_set)
    path.unlink()
    if put == "fifo":
        os.mkfifo(path)
    elif put == "link":
        path.symlink_to(secret(studio))
    elif put == "folder":
        path.mkdir()
    else:
        path.parent.rmdir()
        path.parent.symlink_to(secret(studio).parent)
        (secret(studio).parent / "wood.png").write_bytes(b"secret")
    studio.farm.released.set()
    row = await studio.until_state(submission_id, "failed")
    assert str(path) in row["message"]
    assert b"secret" not in studio.farm.blobs.values()
    # And it can be told to go on.
    await studio.submitted(project_files=whole(studio) | {"files": ["scene.blend"]})


@pytest.mark.parametrize("above", [False, True])
async def test_a_project_that_is_exchanged_for_a_link_is_not_sent(
    studio: Studio, above: bool
) -> None:
    folder = studio.root / "show" / "demo"
    exchanged = folder.parent if above else folder
    (folder / "tex").mkdir(parents=True)
    (folder / "tex" / "wood.png").write_bytes(b"secret in size")
    (folder / "scene.blend").write_bytes(b"scene")
    evil = studio.root / "evil"
    stolen = (evil / "demo" if above else evil) / "tex" / "wood.png"
    stolen.parent.mkdir(parents=True)
    stolen.write_bytes(b"secret of them")
    studio.farm.faults = [Fault("POST", "/v1/blobs/missing", "hold")]
    group = {"localRoot": str(folder), "remoteRoot": "/demo", "files": ["scene.blend", "tex"]}
    submission_id = await studio.submit(project_files=group)
    await until(studio.farm.held.is_set)
    exchanged.rename(studio.root / "aside")
    exchanged.symlink_to(evil)
    studio.farm.released.set()
    row = await studio.until_state(submission_id, "failed")
    assert str(folder) in row["message"]
    assert b"secret of them" not in studio.farm.blobs.values()


async def test_a_file_that_grows_for_ever_is_sent_as_it_was(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = studio.write("log.txt", b"x" * 1000)

    def while_it_grows(file: BinaryIO, most: int, moved: Callable[[], None]) -> tuple[str, int]:
        # As fast as it is read.
        class Growing(io.RawIOBase):
            def read(self, count: int = -1) -> bytes:
                with path.open("ab") as grown:
                    grown.write(b"y" * 1000)
                return file.read(count)

        return hash_open(cast(BinaryIO, Growing()), most, moved)

    monkeypatch.setattr("envoy.upload.hash_cache.hash_open", while_it_grows)
    await studio.submitted(project_files=whole(studio))
    entry = studio.farm.manifests[EMAIL, "demo"]["demo/log.txt"]
    assert entry.size == 1000
    assert studio.farm.blobs[EMAIL, entry.hash] == b"x" * 1000


@pytest.mark.skipif(not hasattr(os, "O_NONBLOCK"), reason="has no leases")
async def test_a_file_that_another_program_holds_is_waited_for(studio: Studio) -> None:
    import fcntl

    path = studio.write("scene.blend", b"held")
    with path.open("r+b") as holder:
        try:
            fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            pytest.skip("this disk has no leases")
        import signal

        asked = threading.Event()
        before = signal.signal(signal.SIGIO, lambda *_: asked.set())
        try:
            submission_id = await studio.submit()
            await until(asked.is_set)
            fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            await studio.until_state(submission_id, "submitted")
        finally:
            signal.signal(signal.SIGIO, before)


# Disks that do not answer


@pytest.fixture
def stuck_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Files called 'stuck' do not answer, until the event is set."""
    monkeypatch.setattr(envoy.process.slots, "STANDS_SECONDS", 0.2)
    monkeypatch.setattr(envoy.upload.transfer, "STANDS_SECONDS", 0.2)
    works = threading.Event()
    real = farm_protocol.inside._open_regular

    def slow(name: str, folder: int | None, shown: Path) -> int:
        if "stuck" in str(shown):
            works.wait()
        return real(name, folder, shown)

    monkeypatch.setattr(farm_protocol.inside, "_open_regular", slow)
    yield works
    works.set()


def body_of(studio: Studio, project: str, *names: str) -> dict[str, Any]:
    folder = studio.root / project
    folder.mkdir()
    for name in ("scene.blend", *names):
        (folder / name).write_bytes(f"{project} {name}".encode())
    body = studio.body()
    request = body["project_request"]
    request["params"] |= {
        "project_name": project,
        "remote_output_folder": f"/{project}/render_results/out",
        "local_root": str(folder),
    }
    request["jobs"][0]["path"] = f"{project}/scene.blend"
    body["project_files"] = {"localRoot": str(folder), "remoteRoot": f"/{project}"}
    body["watch_files"] = {}
    return body


async def test_a_disk_that_does_not_answer_holds_up_its_own_project_alone(
    studio: Studio, stuck_disk: threading.Event
) -> None:
    ids = []
    # More than there are slots, and than a pool of threads would have.
    for number in range(12):
        body = body_of(studio, f"bad{number}", *[f"stuck {n}" for n in range(3)])
        ids.append((await studio.http.post("/project-submit", json=body)).json()["submission_id"])
    good = (await studio.http.post("/project-submit", json=body_of(studio, "good", "a"))).json()

    async def reached() -> object:
        return (await studio.of(good["submission_id"]))["state"] == "submitted"

    await until(reached)
    assert {(await studio.of(each))["state"] for each in ids} == {"uploading"}
    stuck_disk.set()
    for each in ids:

        async def all_there(each: str = each) -> object:
            return (await studio.of(each))["state"] == "submitted"

        await until(all_there)


async def test_a_disk_that_never_answers_fails_its_submission_in_the_end(
    studio: Studio, stuck_disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy.upload.transfer, "STUCK_SECONDS", 0.5)
    body = body_of(studio, "bad", "stuck")
    answer = (await studio.http.post("/project-submit", json=body)).json()
    row = await studio.until_state(answer["submission_id"], "failed")
    assert says(row["message"], "disk-of-file-does-not-answer", studio.root / "bad" / "stuck")


async def test_stopping_does_not_wait_for_a_disk(
    studio: Studio, stuck_disk: threading.Event, start: Start
) -> None:
    await studio.http.post("/project-submit", json=body_of(studio, "bad", "stuck"))
    await until(lambda: any(thread.name == "blocking" for thread in threading.enumerate()))
    await start.stop()
    assert not stuck_disk.is_set()


async def test_what_is_skipped_may_have_a_name_of_any_bytes(studio: Studio) -> None:
    # The name stands in a warning, which the journal and every answer hold.
    studio.write("scene.blend")
    os.mkfifo(os.fsencode(studio.project) + b"/pipe\xff")
    submission_id = await studio.submitted(project_files=whole(studio))
    assert sent(studio) == {"demo/scene.blend"}
    warning = (await studio.of(submission_id))["warnings"][0]
    assert says(warning, "file-skipped", f"{studio.project}/pipe\\udcff")
    answer = await studio.http.post("/upload", json={"upload": [whole(studio)]})
    assert answer.status_code == 200

    async def done() -> object:
        return (await studio.http.get("/project-status/demo")).json()["State"] == "Completed"

    await until(done)


async def test_a_link_to_a_name_of_any_bytes_fails_one_upload_only(
    start: Start, farm: FakeFarm
) -> None:
    studio = await unsent(await start(), farm)
    await start.stop()
    away = os.fsencode(studio.root) + b"/away\xff"
    os.mkdir(away)
    (studio.project / "scene.blend").unlink()
    os.symlink(away, os.fsencode(studio.project / "scene.blend"))
    farm.faults = []
    studio = await start()
    await fails(studio, "outside of")


async def test_a_link_in_the_place_of_the_project_is_not_followed(
    start: Start, farm: FakeFarm
) -> None:
    studio = await unsent(await start(), farm)
    await start.stop()
    secrets = studio.root / "secrets"
    secrets.mkdir()
    (secrets / "scene.blend").write_bytes(b"secret")
    studio.project.rename(studio.root / "moved")
    studio.project.symlink_to(secrets)
    farm.faults = []
    studio = await start()
    await fails(studio, "outside of")
    assert b"secret" not in farm.blobs.values()


async def unsent(studio: Studio, farm: FakeFarm) -> Studio:
    """Return an Envoy that has accepted a submission, and cannot send it."""
    await studio.sign_in()
    studio.write("scene.blend")
    farm.faults = [Fault("POST", "/v1/blobs/missing", ErrorCode.UNAVAILABLE, 10**9)]
    await studio.submit()
    await until(lambda: farm.count("POST", "/v1/blobs/missing"))
    return studio


async def fails(studio: Studio, words: str) -> None:
    async def told() -> object:
        (row,) = (await studio.activity())["submissions"]
        return row["state"] == "failed" and row["message"]

    assert words in await until(told)
