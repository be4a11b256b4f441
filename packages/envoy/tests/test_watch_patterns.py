"""Patterns that would take for ever: accepted and matched at once, or refused, never hung on."""

import signal
import sqlite3

import pytest
from envoy.watch import match
from envoy_machine import Machine
from envoy_studio import Studio, until
from farm_protocol.patterns import Construct, Pattern
from messages import saying, says

OUT = "demo/render_results/out"
EVIL = r"([\w]+/?)+\.exr"
LONG = "a" * 200 + ".png"


async def test_an_evil_pattern_holds_nothing_up(machine: Machine) -> None:
    async with machine.studio() as studio:
        await studio.sign_in()
        watches = {EVIL: str(studio.results / "evil"), "/demo/.+": str(studio.results)}
        submission = await studio.submitted(watch_files=watches)
        machine.farm.output(submission, f"{OUT}/{LONG}", b"pixels")
        machine.farm.output(submission, f"{OUT}/frame.exr", b"more")
        await until((studio.results / LONG).exists)
        await until((studio.results / "evil" / "frame.exr").exists)
    assert await machine.end(signal.SIGTERM) == 0


async def test_what_cannot_be_matched_is_refused_by_field(studio: Studio) -> None:
    studio.write("scene.blend")
    pattern = r"/demo/.+(?<!beauty)\.exr"
    answer = await studio.http.post(
        "/project-submit", json=studio.body(watch_files={pattern: str(studio.results)})
    )
    assert answer.status_code == 400
    (message,) = answer.json()["errors"][f"watch_files[{pattern}]"]
    assert says(message, "pattern-uses-which-not-supported", Construct.LOOK_BEHIND)


async def test_a_submission_has_so_many_watches(studio: Studio) -> None:
    studio.write("scene.blend")
    watches = {f"/demo/{n}/.+": str(studio.results) for n in range(1001)}
    answer = await studio.http.post("/project-submit", json=studio.body(watch_files=watches))
    assert answer.status_code == 400
    message = answer.json()["errors"]["watch_files"][0]
    assert says(message, "too-many-watches", 1000, 1001)


async def test_each_pattern_of_a_thousand_is_compiled_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results come one after the other, and each is compared with all of them."""
    compiled = []

    def counted(text: str, flags: int) -> Pattern:
        compiled.append(text)
        return Pattern(text, flags)

    monkeypatch.setattr("envoy.watch.match.Pattern", counted)
    watches = {f"/demo/nowhere/{n}": str(studio.results) for n in range(match.MOST_WATCHES - 1)}
    submission = await studio.submitted(watch_files=watches | {"/demo/.+": str(studio.results)})
    for name in ("a.png", "b.png"):
        studio.farm.output(submission, f"{OUT}/{name}", b"pixels")
        await until((studio.results / name).exists)
    assert len(compiled) == len(set(compiled)) == match.MOST_WATCHES


async def test_patterns_that_are_large_together_are_refused(studio: Studio) -> None:
    studio.write("scene.blend")
    watches = {rf"/demo/{n}(?:\w{{30}}|\d)*": str(studio.results) for n in range(100)}
    answer = await studio.http.post("/project-submit", json=studio.body(watch_files=watches))
    assert answer.status_code == 400
    assert says(answer.json()["errors"]["watch_files"][0], "patterns-too-large-in-all")


async def test_a_watch_of_an_older_journal_is_left_out_with_a_message(machine: Machine) -> None:
    async with machine.studio() as studio:
        await studio.sign_in()
        submission = await studio.submitted()
    await machine.end()
    with sqlite3.connect(machine.root / "envoy" / "journal.sqlite3") as journal:
        journal.execute(
            "INSERT INTO watches (entry_id, pattern, folder) VALUES (?, ?, ?)",
            (submission, "/demo/(?=a).+", str(machine.root / "never")),
        )
    journal.close()
    machine.farm.output(submission, f"{OUT}/a.png", b"pixels")
    await machine.start()
    async with machine.studio() as studio:
        await until((studio.results / "a.png").exists)
        warning = (await studio.of(submission))["warnings"][-1]
        unsupported = saying("pattern-uses-which-not-supported", Construct.LOOK_AHEAD)
        assert says(warning, "nothing-downloaded-watch", "/demo/(?=a).+", unsupported)
        status = (await studio.http.get("/project-status/demo")).json()
        assert warning in status["Warnings"]
    assert not (machine.root / "never").exists()
