"""Patterns that would take for ever: accepted and matched at once, or refused, never hung on."""

import signal
import sqlite3

from envoy_studio import until

OUT = "demo/render_results/out"
EVIL = r"([\w]+/?)+\.exr"
LONG = "a" * 200 + ".png"


async def test_an_evil_pattern_holds_nothing_up(machine):
    async with machine.studio() as studio:
        await studio.sign_in()
        watches = {EVIL: str(studio.results / "evil"), "/demo/.+": str(studio.results)}
        submission = await studio.submitted(watch_files=watches)
        machine.farm.output(submission, f"{OUT}/{LONG}", b"pixels")
        machine.farm.output(submission, f"{OUT}/frame.exr", b"more")
        await until((studio.results / LONG).exists)
        await until((studio.results / "evil" / "frame.exr").exists)
    assert await machine.end(signal.SIGTERM) == 0


async def test_what_cannot_be_matched_is_refused_by_field(studio):
    studio.write("scene.blend")
    pattern = r"/demo/.+(?<!beauty)\.exr"
    answer = await studio.http.post(
        "/project-submit", json=studio.body(watch_files={pattern: str(studio.results)})
    )
    assert answer.status_code == 400
    (sentence,) = answer.json()["errors"][f"watch_files[{pattern}]"]
    assert "a look-behind" in sentence


async def test_a_submission_has_so_many_watches(studio):
    studio.write("scene.blend")
    watches = {f"/demo/{n}/.+": str(studio.results) for n in range(1001)}
    answer = await studio.http.post("/project-submit", json=studio.body(watch_files=watches))
    assert answer.status_code == 400
    assert "at most 1000 watches" in answer.json()["errors"]["watch_files"][0]


async def test_a_watch_of_an_older_journal_is_left_out_with_a_sentence(machine):
    async with machine.studio() as studio:
        await studio.sign_in()
        submission = await studio.submitted()
    await machine.end()
    with sqlite3.connect(machine.root / "envoy" / "journal.sqlite3") as journal:
        journal.execute(
            "INSERT INTO watches VALUES (?, ?, ?)",
            (submission, "/demo/(?=a).+", str(machine.root / "never")),
        )
    journal.close()
    machine.farm.output(submission, f"{OUT}/a.png", b"pixels")
    await machine.start()
    async with machine.studio() as studio:
        await until((studio.results / "a.png").exists)
        warning = (await studio.of(submission))["warnings"][-1]
        assert "the watch '/demo/(?=a).+'" in warning
        assert "a look-ahead" in warning
        status = (await studio.http.get("/project-status/demo")).json()
        assert warning in status["Warnings"]
    assert not (machine.root / "never").exists()
