"""A journal with bad rows stops nothing: Envoy starts, names them, and does the rest."""

import json
import sqlite3
from pathlib import Path

import pytest
from envoy.errors import StartError
from envoy_start import Start
from envoy_studio import until
from messages import saying, says

OUT = "demo/render_results/out"
NOT_UTF8 = "CAST(x'ff' AS TEXT)"
ENTRY = {
    "account": "'ann@example.com'",
    "project": "'demo'",
    "name": "'bad'",
    "output_folder": f"'{OUT}'",
    "spec": "'{}'",
    "state": "'uploading'",
    "message": "''",
    "warnings": "'[]'",
    "bytes_total": "0",
    "created_at": "'2026-01-01T00:00:00+00:00'",
}


def entry(**changes: str) -> str:
    """An entry of a submission that is under way, with one column that is wrong."""
    values = {"id": "'bad'"} | ENTRY | changes
    return (
        f"INSERT INTO entries ({', '.join(values)}, position) SELECT {', '.join(values.values())},"
        " max(position) + 1 FROM entries"
    )


BAD = {
    "state": entry(state="'dancing'"),
    "created_at": entry(created_at="'yesterday'"),
    "warnings": entry(warnings="'no json'"),
    "warnings of numbers": entry(warnings="'[1]'"),
    "deep warnings": entry(warnings=f"'{'[' * 5000}'"),
    "spec": entry(spec="'{'", state="'submitting'"),
    "empty spec": entry(spec="'{}'"),
    "revision": entry(revision="-9223372036854775808", state="'submitting'"),
    "project": entry(project="'../..'"),
    "size": entry(bytes_total="-9223372036854775808"),
    "no text": entry(name=NOT_UTF8, created_at=NOT_UTF8),
    "id": entry(id=NOT_UTF8),
    "file": "INSERT INTO upload_files VALUES ('GOOD', '../x', char(0) || '/dev/zero', -1, char(0),"
    " char(0))",
    "file of bad": entry()
    + "; INSERT INTO upload_files VALUES ('bad', char(10), char(0), -1, char(0), char(0))",
    "folder": "INSERT INTO upload_folders VALUES ('GOOD', '../x', char(0))",
    "folder of bad": entry()
    + "; INSERT INTO upload_folders VALUES ('bad', 'demo', char(0)), ('bad', 'demo/x', '/proc')",
    "watch": "INSERT INTO watches VALUES ('GOOD', '(((', char(0), char(0))",
    "evil watch": "INSERT INTO watches VALUES ('GOOD', '(?=(a+)+)+$', 'relative', '../x')",
    "watch of no text": f"INSERT INTO watches VALUES ('GOOD', {NOT_UTF8}, {NOT_UTF8}, {NOT_UTF8})",
    "job": "INSERT INTO jobs VALUES ('bad', 'GOOD', 7, '{')",
    "job of no text": f"INSERT INTO jobs VALUES ('bad', 'GOOD', 7, {NOT_UTF8})",
    "download": "INSERT INTO downloads VALUES (900, 'GOOD', '/x', 'y', 'z', -1, 'dancing', '', 0,"
    " '/x/y', '')",
    "pending": "INSERT INTO downloads VALUES (900, 'GOOD', char(0), '../y', '../z', -1, 'pending',"
    " '', -1, char(0), 'no reason')",
    "large": "INSERT INTO downloads VALUES (900, 'GOOD', '/x', 'y', 'z', 9223372036854775807,"
    " 'done', '', 0, '', ''), (901, 'GOOD', '/x', 'yy', 'z', 9223372036854775807, 'failed', '', 0,"
    " '', '')",
    "feed": "UPDATE feeds SET cursor = -5",
    "hash": "UPDATE hashes SET hash = 'no hash'",
}
TABLES = {
    *("entries", "upload_files", "upload_folders", "watches", "jobs", "downloads", "feeds"),
    "hashes",
}


def test_every_table_is_among_them(tmp_path: Path) -> None:
    from envoy.journal import Journal

    Journal(tmp_path / "journal").close()
    with sqlite3.connect(tmp_path / "journal") as journal:
        found = {name for (name,) in journal.execute("SELECT name FROM sqlite_schema")}
    journal.close()
    assert {name for name in found if "_by_" not in name and "auto" not in name} == TABLES
    assert all(
        any(f" {table} " in f"{statement} " for statement in BAD.values()) for table in TABLES
    )


async def first_result(start: Start) -> str:
    """Return a submission whose first result is there; its Envoy has ended."""
    studio = await start()
    await studio.sign_in()
    good = await studio.submitted()
    studio.farm.output(good, f"{OUT}/first.png", b"first")
    await until((studio.results / "first.png").exists)
    await start.stop()
    return good


@pytest.mark.parametrize("statements", BAD.values(), ids=BAD)
async def test_a_bad_row_stops_nothing(start: Start, tmp_path: Path, statements: str) -> None:
    good = await first_result(start)
    with sqlite3.connect(tmp_path / "envoy" / "journal.sqlite3") as journal:
        journal.executescript(statements.replace("GOOD", good))
    journal.close()

    studio = await start()
    health = (await studio.http.get("/envoy/health")).json()
    assert health["signed_in_as"]
    # What it did before it still does: the good submission, and new ones.
    studio.farm.output(good, f"{OUT}/second.png", b"second")
    await until((studio.results / "second.png").exists)
    again = await studio.submitted()
    assert (await studio.of(good))["state"] == "submitted"
    for path in (
        *("/project-status/demo", "/projects", "/envoy/projects/demo/progress"),
        *("/envoy/projects/demo/jobs", "/envoy/projects/demo/results", "/envoy/activity"),
        *(f"/envoy/jobs/{job['id']}/log" for job in (await studio.of(again))["jobs"]),
    ):
        answer = await studio.http.get(path)
        assert answer.status_code == 200, (path, answer.text)


@pytest.mark.parametrize("column", ["state", "created_at", "warnings"])
async def test_what_was_left_out_is_named(start: Start, tmp_path: Path, column: str) -> None:
    studio = await start()
    await studio.sign_in()
    await studio.submitted()
    await start.stop()
    with sqlite3.connect(tmp_path / "envoy" / "journal.sqlite3") as journal:
        journal.executescript(BAD[column])
    journal.close()
    studio = await start()
    activity = (await studio.http.get("/envoy/activity")).json()
    (problem,) = activity["problems"]
    assert says(problem, "envoys-journal-damaged-left-out", "submission", "bad")
    assert [row["submission_id"] for row in activity["submissions"]] != ["bad"]
    assert json.dumps(activity)


async def test_a_result_whose_folder_is_not_absolute_is_left_out(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be written relative to where Envoy was started."""
    good = await first_result(start)
    with sqlite3.connect(tmp_path / "envoy" / "journal.sqlite3") as journal:
        journal.executescript(
            "INSERT INTO downloads (entry_id, folder, relative, place, hash, size, state,"
            " message, reason, written_mtime_ns) SELECT entry_id, 'away', relative, 'away', hash,"
            " size, 'pending', '', '', 0 FROM downloads"
        )
    monkeypatch.chdir(tmp_path)
    studio = await start()
    studio.farm.output(good, f"{OUT}/second.png", b"second")
    await until((studio.results / "second.png").exists)
    (problem,) = (await studio.http.get("/envoy/activity")).json()["problems"]
    assert says(problem, "envoys-journal-damaged-left-out", "download", "first.png")
    assert not (tmp_path / "away").exists()


async def test_a_journal_with_bad_pages_is_told_of_in_a_message(
    start: Start, tmp_path: Path
) -> None:
    studio = await start()
    await studio.sign_in()
    await studio.submitted()
    await start.stop()
    journal = tmp_path / "envoy" / "journal.sqlite3"
    with sqlite3.connect(journal) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = opened.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'jobs'")
        ((size,),) = opened.execute("PRAGMA page_size")
    with journal.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xee" * size)
    studio = await start()
    answer = await studio.http.get("/envoy/activity")
    assert answer.status_code == 500
    assert says(answer.json()["message"], "journal-cannot-be-used")
    # What does not need them goes on.
    assert (await studio.http.get("/projects")).status_code == 200


async def test_one_whose_tables_are_unreadable_is_refused_in_a_message(
    start: Start, tmp_path: Path
) -> None:
    await start()
    await start.stop()
    journal = tmp_path / "envoy" / "journal.sqlite3"
    with sqlite3.connect(journal) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = journal.read_bytes()
    assert b"CREATE TABLE entries" in content
    journal.write_bytes(content.replace(b"CREATE TABLE entries", b"CREATE\xffTABLE\xffentries"))
    with pytest.raises(StartError, check=saying("journal-cannot-be-used")):
        await start()
