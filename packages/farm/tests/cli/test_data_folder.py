"""A data folder remembers its database: no command opens, makes or changes another one."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from command_line import Done, ended, read
from command_line import farm as command
from farm.db.engine.database import SQLITE_FILE, Database
from messages import saying, says
from sqlalchemy import text

from tools.temporary_postgres import TemporaryPostgres

VARIABLE = "FARM_DATABASE_URL"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "farm"


@pytest.fixture
def url(empty_url: str | None, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Let the commands of this test work on an empty database, SQLite and then PostgreSQL."""
    if empty_url is not None:
        monkeypatch.setenv(VARIABLE, empty_url)
    return empty_url


@pytest.fixture
def made(folder: Path, url: str | None) -> Path:
    """Return the folder of a farm with one user."""
    assert command(folder, "migrate").returncode == 0
    assert command(folder, "users", "add", "ann@example.com").returncode == 0
    return folder


@pytest.fixture
def other_url(postgres: TemporaryPostgres) -> Iterator[str]:
    """Return the address of an empty database that is no farm's."""
    with postgres.database() as name:
        yield postgres.url(name)


def refused(done: Done, *told: str | saying) -> None:
    """The command must have ended with one message, which says these things."""
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for each in told:
        assert says(done.stderr, each) if isinstance(each, saying) else each in done.stderr


def real(*arguments: str, **environment: str) -> Done:
    """Execute a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "farm", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line]
    return Done(done.returncode, done.stdout, "\n".join(lines))


def emails(folder: Path) -> list[str]:
    return [user["email"] for user in read(folder, "users", "list")]


def content(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_no_command_makes_a_farm(folder: Path, url: str | None) -> None:
    for arguments in (
        ["users", "list"],
        ["users", "add", "ann@example.com"],
        ["jobs", "list"],
        ["plans", "list"],
        ["credits", "check"],
        ["workers"],
    ):
        refused(command(folder, *arguments), saying("no-farm-yet-start-with", folder))
        assert not folder.exists()
    if url is not None:
        database = Database(url)
        assert database.version() is None
        database.close()


def test_migrate_makes_one_and_says_so_each_time(made: Path) -> None:
    for _ in range(2):
        done = command(made, "migrate")
        assert done.returncode == 0
        assert says(done.stdout.strip(), "database-version", Database.newest_version())
    assert emails(made) == ["ann@example.com"]


def test_the_folder_remembers_without_a_password(
    made: Path, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made / "database.json"
    told = json.loads(file.read_text())
    assert told["kind"] == ("sqlite" if url is None else "postgresql")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    if url is not None:
        # The same database by another address is the same database.
        secret = (
            url.replace("farm@", "farm:secret@") if "farm@" in url else f"{url}&password=secret"
        )
        monkeypatch.setenv(VARIABLE, secret)
        assert command(made, "migrate").returncode == 0
        assert emails(made) == ["ann@example.com"]
        assert "secret" not in file.read_text()


@pytest.mark.sample(1)
@pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")
@pytest.mark.parametrize("first", [True, False])
def test_what_others_keep_in_the_folder_is_left_alone(folder: Path, first: bool) -> None:
    if not first:
        assert command(folder, "migrate").returncode == 0
    theirs = [folder / "letter", folder / "mail" / "letter", folder / "mail", folder]
    theirs[1].parent.mkdir(parents=True)
    for path in theirs[:2]:
        path.touch()
    for path in theirs:
        path.chmod(0o755)
    if not first:
        (folder / SQLITE_FILE).chmod(0o644)
    process = serve(folder)
    assert ended(process) == 0
    assert {stat.S_IMODE(path.stat().st_mode) for path in theirs} == {0o755}
    ours = set(folder.iterdir()) - set(theirs)
    assert {path.name for path in ours} >= {SQLITE_FILE, "farm.lock", "blobs", "work", "logs"}
    assert [path for path in ours if path.stat().st_mode & 0o077] == []


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["scratch", "work", "logs"])
def test_a_folder_of_others_is_not_emptied(folder: Path, name: str) -> None:
    """The home folder of somebody who keeps work in it, say."""
    letter = folder / name / "letter"
    letter.parent.mkdir(parents=True)
    letter.touch()
    for done in (command(folder, "migrate"), real("serve", "--data-dir", str(folder))):
        refused(done, str(folder), saying("socket-folder-not-ours", name), "--data-dir")
    assert content(folder) == {name, f"{name}/letter"}


def test_a_forgotten_or_wrong_variable_is_told_and_nothing_is_made(
    made: Path, url: str | None, other_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(made)
    attempts: dict[str | None, str] = {other_url: "FARM_DATABASE_URL"}
    if url is not None:
        attempts[None] = "PostgreSQL"
    for wrong, word in attempts.items():
        if wrong is None:
            monkeypatch.delenv(VARIABLE)
        else:
            monkeypatch.setenv(VARIABLE, wrong)
        for arguments in (["users", "list"], ["users", "add", "eve@example.com"], ["migrate"]):
            refused(command(made, *arguments), word, "FARM_DATABASE_URL")
        refused(real("serve", "--data-dir", str(made)), word, "FARM_DATABASE_URL")
        assert content(made) - {"farm.lock"} == before - {"farm.lock"}
    database = Database(other_url)
    assert database.version() is None
    database.close()
    if url is not None:
        monkeypatch.setenv(VARIABLE, url)
    else:
        monkeypatch.delenv(VARIABLE)
    assert emails(made) == ["ann@example.com"]


def test_the_database_of_another_farm_is_refused(
    made: Path, url: str | None, tmp_path: Path, other_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    if url is None:
        assert command(other, "migrate").returncode == 0
        (other / SQLITE_FILE).replace(made / SQLITE_FILE)
    else:
        monkeypatch.setenv(VARIABLE, other_url)
        assert command(other, "migrate").returncode == 0
    for arguments in (["users", "list"], ["migrate"]):
        refused(command(made, *arguments), saying("belongs-another-farm-not-name", made))


def test_a_database_that_is_lost_is_not_made_anew(
    made: Path, url: str | None, monkeypatch: pytest.MonkeyPatch, other_url: str
) -> None:
    if url is None:
        (made / SQLITE_FILE).unlink()
    else:
        monkeypatch.setenv(VARIABLE, other_url)
    for done in (command(made, "migrate"), real("serve", "--data-dir", str(made))):
        refused(done, saying("farm-lost-database-restore-from", made))
    assert command(made, "users", "list").returncode == 1
    assert not (made / SQLITE_FILE).exists()


def test_nor_is_it_when_the_folder_has_forgotten_it_too(
    made: Path, url: str | None, monkeypatch: pytest.MonkeyPatch, other_url: str
) -> None:
    """The files of projects lie there: a new farm would take them for nobody's."""
    process = serve(made)
    assert ended(process) == 0
    (made / "database.json").unlink()
    if url is None:
        # As a disk that was full, or lost its power, leaves it.
        (made / SQLITE_FILE).write_bytes(b"")
        for name in (f"{SQLITE_FILE}-wal", f"{SQLITE_FILE}-shm"):
            (made / name).unlink(missing_ok=True)
    else:
        monkeypatch.setenv(VARIABLE, other_url)
    for done in (
        command(made, "users", "list"),
        command(made, "migrate"),
        real("serve", "--data-dir", str(made)),
    ):
        refused(done, saying("holds-files-farm-farms-database", made), "FARM_DATABASE_URL")
    assert not (made / "database.json").exists()
    lost = Database(other_url) if url else Database.in_folder(made)
    assert lost.version() is None
    lost.close()
    if url is not None:
        # Without the variable it is not SQLite's either.
        monkeypatch.delenv(VARIABLE)
        for done in (command(made, "migrate"), real("serve", "--data-dir", str(made))):
            refused(done, saying("farms-database-missing", made, SQLITE_FILE))
        assert not (made / SQLITE_FILE).exists()
        monkeypatch.setenv(VARIABLE, url)
        assert command(made, "migrate").returncode == 0
        assert (made / "database.json").exists()


def set_version(folder: Path, url: str | None, version: str) -> None:
    database = Database(url) if url else Database.in_folder(folder)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
    database.close()


def test_a_newer_database_is_one_message(made: Path, url: str | None) -> None:
    set_version(made, url, "9999")
    for done in (
        command(made, "users", "list"),
        command(made, "migrate"),
        real("serve", "--data-dir", str(made)),
    ):
        refused(done, saying("database-of-newer-version", "9999"))


def test_only_migrate_and_serve_change_an_older_database(folder: Path, url: str | None) -> None:
    folder.mkdir()
    database = Database(url) if url else Database.in_folder(folder)
    database.migrate("0013")
    database.close()

    def version() -> str | None:
        found = Database(url) if url else Database.in_folder(folder)
        told = found.version()
        found.close()
        return told

    for arguments in (["users", "list"], ["users", "add", "ann@example.com"], ["workers"]):
        refused(command(folder, *arguments), saying("database-older-version-stop-farm", folder))
        assert version() == "0013"
    # A folder of a farm of today remembers nothing yet.
    assert not (folder / "database.json").exists()
    assert command(folder, "migrate").returncode == 0
    assert version() == Database.newest_version()
    assert command(folder, "users", "add", "ann@example.com").returncode == 0


def serve(folder: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "farm", "serve", "--embedded", "--data-dir", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "ready"
    return process


def test_nobody_migrates_under_a_farm_that_runs(
    folder: Path, tmp_path: Path, url: str | None
) -> None:
    process = serve(folder)
    refused(
        command(folder, "migrate"), saying("another-farm-using-stop-first", folder, process.pid)
    )
    assert command(folder, "users", "add", "ann@example.com").returncode == 0
    if url is not None:
        set_version(folder, url, "9999")
        # Not even a farm that does not get the database in the end.
        held = saying("another-farm-using-database-farm")
        refused(real("serve", "--data-dir", str(tmp_path / "b")), held)
        refused(command(tmp_path / "c", "migrate"), held)
    assert ended(process) == 0


def test_commands_at_once_make_one_farm(folder: Path, url: str | None) -> None:
    command_line = [sys.executable, "-m", "farm", "migrate", "--data-dir", str(folder)]
    several = [
        subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [each.communicate(timeout=60) for each in several]
    codes = [each.returncode for each in several]
    assert 0 in codes
    held = ("another-farm-using-stop-first", "another-farm-using-database-farm")
    for code, (_, errors) in zip(codes, told, strict=True):
        assert code == 0 or any(says(errors, each) for each in held), errors
    assert command(folder, "users", "list").returncode == 0
    assert not [name for name in content(folder) if name.endswith((".part", ".new"))]


def test_folders_that_remember_nothing_yet(
    made: Path, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Farms of before: their folders hold a database or blobs, and no memory."""
    (made / "database.json").unlink()
    (made / "blobs").mkdir()
    assert emails(made) == ["ann@example.com"]
    if url is not None:
        # The files of a farm without the file of SQLite: the variable was forgotten.
        monkeypatch.delenv(VARIABLE)
        for done in (command(made, "users", "list"), real("serve", "--data-dir", str(made))):
            refused(done, str(made))
        refused(command(made, "migrate"), "FARM_DATABASE_URL", "files")
        assert not (made / SQLITE_FILE).exists()
        monkeypatch.setenv(VARIABLE, url)
    assert command(made, "migrate").returncode == 0
    assert (made / "database.json").exists()


def test_a_farm_of_sqlite_does_not_move_to_an_empty_server_unasked(
    folder: Path, other_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(folder, "migrate").returncode == 0
    (folder / "database.json").unlink()
    monkeypatch.setenv(VARIABLE, other_url)
    refused(command(folder, "migrate"), SQLITE_FILE, "--data-dir")
    refused(real("serve", "--data-dir", str(folder)), SQLITE_FILE, "--data-dir")


def test_a_farm_on_a_server_does_not_start_in_a_strange_folder(
    made: Path, url: str | None, tmp_path: Path
) -> None:
    if url is None:
        pytest.skip("a SQLite file lies in its folder")
    process = serve(made)
    who = json.loads((made / "farm.json").read_bytes())
    key = read(made, "users", "rotate-key", "ann@example.com")["access_key"]
    headers = {"Authorization": f"Bearer {key}"}
    empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    httpx.put(f"{who['url']}/v1/blobs/{empty}", headers=headers, content=b"").raise_for_status()
    assert ended(process) == 0
    strange = tmp_path / "strange"
    refused(real("serve", "--data-dir", str(strange)), "--data-dir", "farm migrate")
    # Said out loud it is possible: the folder may be lost.
    assert command(strange, "migrate").returncode == 0
    process = serve(strange)
    assert ended(process) == 0


def test_all_commands_take_the_folder_from_the_same_places(folder: Path, tmp_path: Path) -> None:
    no = str(tmp_path / "no")
    refused(real("users", "list", FARM_DATA_DIR=no), no)
    assert real("migrate", FARM_DATA_DIR=str(folder)).returncode == 0
    for arguments in (["users", "list"], ["jobs", "list"], ["workers"]):
        assert real(*arguments, FARM_DATA_DIR=str(folder)).returncode == 0
        # The option wins.
        option = ["--data-dir", str(folder)]
        assert real(*arguments, *option, FARM_DATA_DIR=no).returncode == 0
    assert not Path(no).exists()


def test_a_damaged_memory_is_one_message(made: Path) -> None:
    for text_ in ("", "{", '{"kind": "oracle", "farm_id": "x", "where": "y"}', "[]"):
        (made / "database.json").write_text(text_)
        for done in (command(made, "users", "list"), command(made, "migrate")):
            refused(done, saying("database-note-damaged", made / "database.json"))


def test_a_file_that_is_no_database_is_one_message(folder: Path) -> None:
    folder.mkdir()
    (folder / SQLITE_FILE).write_bytes(b"this is no database, but long enough to look at" * 100)
    for arguments in (["users", "list"], ["migrate"]):
        refused(command(folder, *arguments), saying("database-cannot-used"), SQLITE_FILE)


@pytest.mark.parametrize("name", ["a folder?mode=ro", "50%done", "ü"])
def test_a_folder_may_have_an_odd_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    assert command(folder, "migrate").returncode == 0
    assert (folder / SQLITE_FILE).exists()
    assert command(folder, "users", "add", "ann@example.com").returncode == 0
    assert emails(folder) == ["ann@example.com"]
