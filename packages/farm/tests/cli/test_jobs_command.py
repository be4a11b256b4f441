"""``farm jobs`` and ``farm workers``, beside a farm that runs."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from command_line import Done, ended, farm, read
from farm.accounts.users import create
from farm.db.opening import open_database
from farm_protocol.hashing import new_hasher
from farm_protocol.jobs import JobState
from farm_protocol.users import NewUser
from messages import saying, says
from waiting import until

EMAIL = "ann@example.com"
ENDLESS = """\
#!/bin/sh
if [ "$1" = "--version" ]; then echo "Blender 3.4.1"; exit; fi
echo here
exec sleep 600
"""


class Place:
    """A farm with a renderer that never ends, one user, and the command line."""

    def __init__(self, folder: Path, url: str, client: httpx.Client) -> None:
        self.folder, self.url, self.client = folder, url, client

    def farm(self, *arguments: str) -> Done:
        return farm(self.folder, *arguments)

    def read(self, *arguments: str) -> Any:
        return read(self.folder, *arguments)

    def submit(self, name: str, frames: str = "1 4") -> str:
        job = {
            "id": "j1",
            "name": name,
            "app": "blender",
            "operation": "render",
            "path": "demo/scene.blend",
            "params": {"frames": frames},
        }
        spec = {
            "id": uuid4().hex,
            "project": "demo",
            "name": f"{name} 1",
            "output_folder": "demo/out",
            "jobs": [job],
        }
        answer = self.client.post("/v1/submissions", json=spec).raise_for_status()
        job_id: str = answer.json()["jobs"][0]["id"]
        return job_id

    def wait(self, job_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait, on the change feed, until a job is as wanted; the feed must tell of it."""
        cursor = 0
        for _ in range(20):
            job: dict[str, Any] = self.client.get(f"/v1/jobs/{job_id}").json()
            if wanted(job):
                return job
            answer = self.client.get("/v1/changes", params={"after": cursor, "wait": 20})
            cursor = answer.json()["cursor"]
        raise AssertionError(job)


@pytest.fixture
def place(tmp_path: Path, on_database: str | None) -> Iterator[Place]:
    blender = tmp_path / "blender"
    blender.write_text(ENDLESS)
    blender.chmod(0o755)
    folder = tmp_path / "farm"
    database = open_database(folder, on_database)
    created = create(database, NewUser(email="ann@example.com", credits=Decimal(10)))
    key = created.access_key
    database.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "farm", "serve", "--embedded", "--data-dir", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"FARM_BLENDER": str(blender), "PATH": "/usr/bin:/bin"}
        | ({} if on_database is None else {"FARM_DATABASE_URL": on_database}),
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    client = httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False
    )
    hasher = new_hasher()
    hasher.update(b"BLENDER")
    entry = {"path": "demo/scene.blend", "hash": hasher.hexdigest(), "size": 7, "mtime_ns": 1}
    client.put(f"/v1/blobs/{entry['hash']}", content=b"BLENDER").raise_for_status()
    client.put("/v1/projects/demo/files", json={"files": [entry]}).raise_for_status()
    with closing(client):
        yield Place(folder, url, client)
    assert ended(process) == 0


def test_look_at_the_queue_and_act_on_it(place: Place) -> None:
    first, second = place.submit("beauty [v2]"), place.submit("other")
    place.wait(first, lambda job: job["state"] == "running")
    listed = {line["id"]: line for line in place.read("jobs", "list")}
    assert listed[first]["user"] == "ann@example.com"
    assert (listed[first]["runners"], listed[second]["runners"]) == (1, 0)
    assert "beauty [v2]" in place.farm("jobs", "list").stdout
    overview = place.read("workers")
    assert overview["machines"] == [{"machine_type": "local-cpu", "slots": 1, "in_use": 1}]
    (worker,) = overview["workers"]
    assert (worker["job_id"], worker["frames"], worker["claim_total"]) == (first, "1-4", 4)
    assert worker["host"]
    (host,) = [each for each in overview["hosts"] if each["host"] == worker["host"]]
    (program,) = [each for each in host["programs"] if each["app"] == "blender"]
    assert (program["version"], program["plugins"]) == ("3.4.1", [])
    assert host["limits"].keys() == {"memory", "processes", "file_size", "disk", "cpu", "end"}
    assert (host["limits"]["file_size"], host["limits"]["disk"]) == ("kernel", "watched")
    shown = place.farm("workers").stdout
    for told in ("local-cpu", "blender 3.4.1", "kernel", "watched"):
        assert told in shown
    open_end = saying("hostile-scene-may-leave-programs", worker["host"])
    assert says(shown, open_end) is (host["limits"]["end"] == "watched")
    # An artist's own scenes may take what they like of the machine.
    watched = saying("memory-only-watched-scene-sets", worker["host"])
    assert not says(shown, watched)
    place.read("users", "add", "ben@example.com")
    shown = place.farm("workers").stdout
    assert says(shown, watched) is (host["limits"]["memory"] == "watched")

    changed = place.read("jobs", "change", second[:12], "--priority", "90", "--instances", "2")
    assert (changed[0]["priority"], changed[0]["instances"]) == (90, 2)
    # The farm notices by itself, and readers of the feed hear of it.
    assert JobState.STOPPING in place.farm("jobs", "stop", first).stdout
    job = place.wait(first, lambda job: job["state"] == "stopped")
    assert job["message"] == saying("job-stopped-by", saying("farms-administrator"))
    place.wait(second, lambda job: job["state"] == "running")
    shown = place.read("jobs", "show", first)
    assert shown["tasks"][0]["outcome"] in ("stopped", "lost")
    assert place.read("jobs", "log", second)["job_id"] == second
    (task,) = place.read("jobs", "show", first)["tasks"]
    of_task = ("jobs", "log", first, "--task", task["id"][:8])
    until(lambda: "here\n" in place.read(*of_task)["text"])
    done = place.farm("jobs", "list", "--all", "--limit", "1", "--json")
    assert [line["id"] for line in json.loads(done.stdout)] == [second]
    assert done.stderr == saying("more-than-jobs-limit-shows", 1)
    assert place.farm("jobs", "list", "--all", "--limit", "2", "--json").stderr == ""
    assert "Marker" in place.farm("jobs", "show", first).stdout
    assert place.farm("jobs", "log", second).returncode == 0

    place.read("jobs", "suspend", "--user", "Ann@example.com")
    place.wait(second, lambda job: job["state"] == "suspended")
    assert {line["id"] for line in place.read("jobs", "list")} == {second}
    assert {line["id"] for line in place.read("jobs", "list", "--all")} == {first, second}
    for _ in range(2):
        place.read("jobs", "resume", second)
    submission = listed[first]["submission_id"]
    assert place.read("jobs", "retry", "--submission", submission)[0]["state"] == "ready"
    place.read("jobs", "stop", "--user", "ann@example.com")
    for job_id in (first, second):
        place.wait(job_id, lambda job: job["state"] == "stopped")
    assert place.read("jobs", "retry", "--user", EMAIL) == []  # None of these failed.


def test_a_machine_gets_more_room_while_it_renders(place: Place) -> None:
    # One frame: given back when the machine is shared anew, it is no work for a second runner.
    first, second = place.submit("beauty", "1"), place.submit("other")
    place.wait(first, lambda job: job["state"] == "running")
    assert place.farm("workers", "slots", "local-cpu", "2").stdout == "local-cpu: 2 slots.\n"
    place.wait(second, lambda job: job["state"] == "running")
    assert place.read("workers")["machines"][0]["slots"] == 2
    refused = place.farm("workers", "slots", "local-gpu", "2")
    assert refused.returncode == 1
    assert refused.stderr.startswith("machine_type: ")
    assert says(refused.stderr, "no-machine-type", "local-gpu", "local-cpu")
    assert place.read("workers", "slots", "local-cpu") == {"local-cpu": 1}
    place.read("jobs", "stop", "--user", EMAIL)


def test_jobs_of_a_disabled_user_stand_still_and_go_on(place: Place) -> None:
    job = place.submit("beauty")
    place.wait(job, lambda job: job["state"] == "running")

    place.farm("users", "disable", EMAIL)
    # The user's own key is worth nothing now.
    until(lambda: place.read("jobs", "show", job)["state"] == "suspended")
    assert place.read("jobs", "show", job)["reason"] == "disabled"
    until(lambda: place.read("workers")["workers"] == [])
    place.farm("users", "enable", EMAIL)
    place.wait(job, lambda job: job["state"] == "running")


def test_mistakes_are_told_in_a_message(place: Place) -> None:
    job = place.submit("beauty")
    eve = saying("no-user", "eve@example.com")
    for arguments, message in (
        (["jobs", "stop"], saying("name-one-job-use-submission")),
        (["jobs", "stop", job, "--user", EMAIL], saying("name-one-job-use-submission")),
        (["jobs", "show", "zzz"], saying("no-such-id", "job", "zzz")),
        (["jobs", "stop", "--user", "eve@example.com"], eve),
        (["jobs", "stop", "--submission", "x"], saying("no-submission-with-id", "x")),
        (["jobs", "list", "--user", "eve@example.com"], eve),
        (["jobs", "log", job, "--task", "zzz"], saying("no-such-id", "task", "zzz")),
        (["jobs", "log", job, "--task", ""], saying("no-such-id", "task")),
    ):
        done = place.farm(*arguments)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert says(done.stderr, message), arguments
    done = place.farm("jobs", "change", job, "--priority", "101")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--priority" in done.stderr
    for arguments in (
        ["jobs", "list", "--limit", f"1{'0' * 20}"],
        ["workers", "slots", "x", "1e9"],
    ):
        done = place.farm(*arguments)
        assert (done.returncode, "Invalid value" in done.stderr) == (2, True)
    place.read("jobs", "stop", job)
    place.wait(job, lambda job: job["state"] == "stopped")
    done = place.farm("jobs", "suspend", job)
    assert done.returncode == 1
    assert done.stderr == saying("job-state-forbids-action", "beauty", "stopped", "suspend")
    for odd in ("[]", '{"machines": {"local-cpu": "1"}}', "\x00"):
        (place.folder / "farm.json").write_text(odd)
        assert says(place.farm("workers").stdout, "farm-not-running")
        done = place.farm("workers", "slots", "local-cpu", "2")
        assert done.returncode == 1
        assert done.stderr == saying("machine-types-unknown")
