"""Whoever has stolen a runner's token, as a scene without a sandbox may: what it is good for."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from farm.db import hosts
from farm.db.hosts import MOST_OF_A_HOST
from farm.db.job_warnings import MOST as MOST_WARNINGS
from farm.db.job_warnings import MOST_BYTES as MOST_WARNING_BYTES
from farm.db.tables import claims, log_chunks
from farm.db.tables import runners as runner_table
from farm.scheduler import trust
from farm_protocol.hashing import new_hasher
from farm_protocol.runner import (
    MAX_CLAIM_LOG,
    MAX_OUTPUTS,
    MAX_PROGRAMS,
    HostLimits,
    Program,
)
from messages import saying
from sqlalchemy import func, select, update

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of
from .test_dependencies import graph

FAKE = {"app": "blender", "version": "99.9.9", "plugins": []}


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


@pytest.fixture
def thief(farm: Farm, ann: httpx.Client) -> FakeRunner:
    """Return who calls as the runner of a job of four frames, two of which it has; one waits."""
    body = spec(instances=1, params={"frames": "1 4"})
    ann.post("/v1/submissions", json=body).raise_for_status()
    runner = FakeRunner(farm, host="node1")
    assert runner.claim(programs=[{"app": "blender", "version": "3.4.1"}]) == [1, 2, 3, 4]
    return runner


def versions(client: httpx.Client) -> set[str]:
    rows = client.get("/v1/products").json()
    return {row["version"] for row in rows if row["app_type"] == "blender"}


def told(farm: Farm) -> set[tuple[str, str, str]]:
    with farm.database.read() as connection:
        return {(each.host, each.app, each.version) for each in hosts.fetch_all(connection)}


def held(farm: Farm) -> dict[str, HostLimits]:
    with farm.database.read() as connection:
        return hosts.limits(connection)


def test_programs_are_believed_before_any_scene_ran_and_never_again(
    farm: Farm, ann: httpx.Client, thief: FakeRunner
) -> None:
    before = versions(ann)
    for said in (
        {"programs": [FAKE]},
        {"programs": [FAKE], "host": "node2"},
        {"programs": [FAKE], "ended": {"claim_id": "x", "finish": {"outcome": "stopped"}}},
    ):
        thief.http.post("/v1/runner/claims", json=said).raise_for_status()
    # Nor between two claims.
    (task, *_) = ann.get(f"/v1/jobs/{job_of(ann)['id']}/tasks").json()["tasks"]
    thief.claim_id = task["id"]
    assert thief.finish("stopped").status_code == 204
    assert thief.claim(programs=[FAKE])
    assert versions(ann) == before
    assert told(farm) == {("node1", "blender", "3.4.1")}


def test_what_a_runner_tells_of_nowhere_is_not_kept(farm: Farm, ann: httpx.Client) -> None:
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    limits = dict.fromkeys(HostLimits.model_fields, "kernel")
    assert FakeRunner(farm).claim(programs=[FAKE], limits=limits)
    assert told(farm) == set()
    assert held(farm) == {}


def test_limits_are_believed_before_any_scene_ran_and_never_again(
    farm: Farm, ann: httpx.Client
) -> None:
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    runner = FakeRunner(farm, host="node1")
    first = dict.fromkeys(HostLimits.model_fields, "kernel")
    assert runner.claim(limits=first)
    runner.finish("stopped")
    assert runner.claim(limits=dict.fromkeys(HostLimits.model_fields, "watched"))
    assert {host: each.model_dump() for host, each in held(farm).items()} == {"node1": first}


def test_a_runner_stays_on_its_host(farm: Farm, ann: httpx.Client, thief: FakeRunner) -> None:
    for _ in range(3):  # Failures of another host would make the job avoid it.
        thief.finish("failed", message="No.")
        thief.host = "node2"
        thief.claim()
    tasks = ann.get(f"/v1/jobs/{job_of(ann)['id']}/tasks").json()["tasks"]
    assert {task["host"] for task in tasks} == {"node1"}


def test_the_engine_knows_best_where_its_runners_are(farm: Farm, ann: httpx.Client) -> None:
    farm.engine.host = "here"
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    FakeRunner(farm, host="elsewhere").claim(
        programs=[FAKE | {"version": "3.4.9"}, FAKE | {"app": "x"}]
    )
    # What no runner looks for is not remembered at all.
    assert told(farm) == {("here", "blender", "3.4.9")}


@pytest.mark.parametrize(
    "said",
    [
        {"host": "node\x1b[2J"},
        {"host": "n" * 256},
        {"programs": [FAKE] * (MAX_PROGRAMS + 1)},
        {"programs": [FAKE | {"version": "9" * 101}]},
        {"programs": [FAKE | {"version": "1\n2"}]},
        {"programs": [FAKE | {"plugins": ["x:1"] * 101}]},
        {"programs": [FAKE | {"plugins": ["x:\x9b31m"]}]},
        {"programs": [FAKE | {"plugins": ["x" * 201]}]},
        {"warnings": ["x"] * 21},
        {"startup_seconds": -1},
        {"frame_seconds": 1e300},
    ],
)
def test_what_a_runner_tells_is_bounded(
    farm: Farm, ann: httpx.Client, said: dict[str, Any]
) -> None:
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    answer = FakeRunner(farm).http.post("/v1/runner/claims", json=said)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert told(farm) == set()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
@pytest.mark.parametrize("field", ["startup_seconds", "frame_seconds"])
def test_a_time_is_a_number(thief: FakeRunner, field: str, number: str) -> None:
    body = f'{{"{field}": {number}}}'
    assert thief.http.post("/v1/runner/claims", content=body).status_code == 400
    done = '{"frame": 1, "seconds": %s, "outputs": [{"path": "a/b", "hash": "%s", "size": 1}]}'
    address = f"/v1/runner/claims/{thief.claim_id}/frames"
    assert thief.http.post(address, content=done % (number, "0" * 64)).status_code == 400


def test_only_the_newest_programs_of_a_host_are_remembered(farm: Farm, thief: FakeRunner) -> None:
    start = datetime.now(UTC)
    other = [Program(app="blender", version="4.0"), Program(app="nuke", version="4.0")]
    with farm.database.write() as connection:
        hosts.report(connection, "node8", other, start - timedelta(seconds=1))
        hosts.report(connection, "node8", other[1:], start)  # The same again is no other's.
    for number in range(0, MOST_OF_A_HOST + 100, 100):
        some = [Program(app="blender", version=f"4.{number + n}") for n in range(100)]
        with farm.database.write() as connection:
            hosts.report(connection, "node7", some, start + timedelta(seconds=number))
    mine = {version for host, _, version in told(farm) if host == "node7"}
    assert mine == {f"4.{number}" for number in range(100, MOST_OF_A_HOST + 100)}
    assert {each[1:] for each in told(farm) if each[0] == "node8"} == {
        ("blender", "4.0"),
        ("nuke", "4.0"),
    }


def test_a_program_is_not_forgotten_with_anothers_of_the_same_version(farm: Farm) -> None:
    start = datetime.now(UTC)
    older, newer = start - timedelta(seconds=1), start + timedelta(seconds=1)
    others = [Program(app="blender", version=f"4.{n}") for n in range(1, MOST_OF_A_HOST)]
    with farm.database.write() as connection:
        hosts.report(connection, "node7", [Program(app="blender", version="4.0")], older)
        hosts.report(connection, "node7", [Program(app="nuke", version="4.0")], newer)
        hosts.report(connection, "node7", others, start)
    kept = {("node7", each.app, each.version) for each in others}
    assert told(farm) == kept | {("node7", "nuke", "4.0")}


def test_it_reads_what_its_job_works_on_and_nothing_else_of_its_user(
    farm: Farm, ann: httpx.Client
) -> None:
    secret = str(send(ann, "private/plan.txt", b"secret")["hash"])
    # Of another project that is rendered, too.
    send(ann, "private/scene.blend", b"BLENDER-v304 3")
    other = spec(path="private/scene.blend", instances=1) | {
        "project": "private",
        "output_folder": "private/o",
    }
    ann.post("/v1/submissions", json=other).raise_for_status()
    first = FakeRunner(farm)
    ann.post(f"/v1/jobs/{job_of(ann)['id']}/stop").raise_for_status()
    assert first.claim() == []
    scene = str(send(ann, "demo/scene.blend", b"BLENDER-v304 2")["hash"])
    texture = str(send(ann, "demo/wood.png", b"wood")["hash"])
    needs: dict[str, list[str]] = {"a": [], "b": ["a"], "c": ["b"]}
    body = graph(**needs)
    ann.post("/v1/submissions", json=body).raise_for_status()
    results: dict[str, str] = {}
    for number in (2, 3, 4):
        runner = FakeRunner(farm, number)
        name = runner.http.get("/v1/runner/job").json()["name"]
        (frame,) = runner.claim()
        may = {scene, texture} | {results[each] for each in needs[name]}
        for blob in {secret, scene, texture, *results.values()}:
            status = runner.http.get(f"/v1/runner/blobs/{blob}").status_code
            assert status == (200 if blob in may else 404), (name, blob)
        results[name] = _deliver(runner, name, frame)
        runner.finish()
        assert runner.claim() == []  # Its slot is free.
    assert set(results) == {"a", "b", "c"}


def _deliver(runner: FakeRunner, name: str, frame: int) -> str:
    """Send a result of a job by that name; returns its hash."""
    data = f"result of {name}".encode()
    hasher = new_hasher()
    hasher.update(data)
    blob = hasher.hexdigest()
    runner.http.put(f"/v1/runner/blobs/{blob}", content=data).raise_for_status()
    output = {"path": f"demo/render_results/out/{name}.png", "hash": blob, "size": len(data)}
    answer = runner.post("frames", {"frame": frame, "seconds": 0, "outputs": [output]})
    assert answer.status_code == 204, answer.text
    return blob


def test_a_frame_that_it_was_not_given_is_refused(farm: Farm, thief: FakeRunner) -> None:
    for frame in (0, 5, -7, 2**31 - 1):
        answer = thief.post("heartbeat", {"frame": frame})
        assert list(answer.json()["errors"]) == ["frame"], frame
        assert list(thief.done_refused(frame).json()["errors"]) == ["frame"], frame
    thief.done(1)
    for given in (None, 1, 4):
        assert thief.beat(given) == "continue"
    thief.finish("failed", message="No.", frame=99)
    with farm.database.read() as connection:
        assert connection.execute(select(claims.c.current_frame)).scalar_one() == 2


def test_a_log_is_bounded_for_a_claim_and_for_a_job(
    farm: Farm, ann: httpx.Client, thief: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    piece = "x" * 1_000_000
    for start in range(0, MAX_CLAIM_LOG, len(piece)):
        for _ in range(2):  # Repeated, and not stored again.
            assert thief.post("log", {"offset": start, "text": piece}).status_code == 204
    for start in (MAX_CLAIM_LOG, MAX_CLAIM_LOG - 1, 2**31 - 1):
        answer = thief.post("log", {"offset": start, "text": "ab"})
        assert list(answer.json()["errors"]) == ["text"], start
    # Neither do pieces that overlap.
    for start in (1, 999_999):
        assert thief.post("log", {"offset": start, "text": piece}).status_code == 204

    def stored() -> int:
        with farm.database.read() as connection:
            total = select(func.sum(func.length(log_chunks.c.text)))
            return int(connection.execute(total).scalar_one())

    assert stored() == MAX_CLAIM_LOG
    monkeypatch.setattr(trust, "MAX_JOB_LOG", MAX_CLAIM_LOG + 10)
    thief.finish("stopped")
    thief.claim()
    assert thief.post("log", {"offset": 0, "text": "0123456789"}).status_code == 204
    answer = thief.post("log", {"offset": 10, "text": "x"})
    assert answer.json()["errors"] == {"text": [saying("log-job-full")]}
    assert stored() == MAX_CLAIM_LOG + 10


def test_warnings_of_a_job_do_not_grow_for_ever(
    farm: Farm, ann: httpx.Client, thief: FakeRunner
) -> None:
    for number in range(MOST_WARNINGS // 20 + 2):
        thief.claim(warnings=[f"warning {number} {n}" for n in range(20)])
    assert len(job_of(ann)["warnings"]) == MOST_WARNINGS


def test_warnings_have_a_size(farm: Farm, ann: httpx.Client) -> None:
    """Each of these takes 24 kB, escaped as JSON."""
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    ann.post("/v1/submissions", json=spec(instances=1)).raise_for_status()
    runner = FakeRunner(farm)
    long = [f"{number} {chr(0x1F600) * 1990}" for number in range(5)]
    runner.claim(warnings=[*long, "short"])
    kept = job_of(ann)["warnings"]
    assert len(json.dumps(kept)) <= MOST_WARNING_BYTES
    assert "short" in kept
    assert kept[0] == long[0]


def test_a_slot_is_not_held_by_claiming_and_giving_back(farm: Farm, thief: FakeRunner) -> None:
    for _ in range(trust.MOST_EMPTY_CLAIMS):
        assert thief.claim_id
        thief.finish("stopped")
        thief.claim()
    assert thief.claim_id is None
    assert thief.reason == saying("given-back-too-many-claims")
    assert thief.http.post("/v1/runner/claims", json={}).status_code == 401


def test_who_delivers_may_give_back_what_is_left_as_often_as_needed(
    farm: Farm, ann: httpx.Client, thief: FakeRunner
) -> None:
    ann.post("/v1/submissions", json=spec(instances=1, params={"frames": "1 99"}))
    honest = FakeRunner(farm, 2)
    for number in range(1, trust.MOST_EMPTY_CLAIMS + 2):
        assert number in honest.claim(), honest.reason
        honest.done(number).raise_for_status()
        honest.finish("stopped")
    honest.claim()
    honest.finish("stopped")
    for _ in range(trust.MOST_EMPTY_CLAIMS):  # What others give back is not counted either.
        thief.finish("stopped")
        thief.claim()
    assert thief.claim_id is None
    assert honest.claim(), honest.reason


def test_a_slot_is_not_held_by_getting_ready_for_ever(farm: Farm, thief: FakeRunner) -> None:
    thief.finish("stopped")
    assert thief.http.post("/v1/runner/heartbeat", json={}).status_code == 200
    with farm.database.read() as connection:
        assert connection.execute(select(runner_table.c.heard_at)).scalar_one() is None


def test_results_of_a_frame_are_bounded(farm: Farm, thief: FakeRunner) -> None:
    data = b"pixels"
    hasher = new_hasher()
    hasher.update(data)
    output = {"path": "", "hash": hasher.hexdigest(), "size": len(data)}
    thief.http.put(f"/v1/runner/blobs/{output['hash']}", content=data).raise_for_status()

    def refusal(files: list[dict[str, Any]]) -> list[str]:
        answer = thief.post("frames", {"frame": 1, "seconds": 0, "outputs": files})
        return list(answer.json()["errors"]) if answer.status_code == 400 else [answer.text]

    inside = "demo/render_results/out/x.png"
    # Only the path is wrong: all else is as it must be.
    for path in (
        "demo/render_results/out2/x",
        "demo/render_results/outx",
        "demo/render_results/out",
        "demo/render_results/out/../../scene.blend",
        "/demo/render_results/out/../x",
        "demo/scene.blend",
        "other/render_results/out/x",
    ):
        assert refusal([output | {"path": path}]) == ["outputs[0].path"], path
        both = [output | {"path": inside}, output | {"path": path}]
        assert refusal(both) == ["outputs[1].path"], path
    for size in (0, len(data) - 1, len(data) + 1, 2**63 - 1):
        assert refusal([output | {"path": inside, "size": size}]) == ["outputs[0].hash"], size
    other = {"path": inside, "hash": "0" * 64, "size": len(data)}
    assert refusal([other]) == ["outputs[0].hash"]
    many = {"frame": 1, "seconds": 0, "outputs": [output | {"path": inside}] * (MAX_OUTPUTS + 1)}
    assert thief.post("frames", many).status_code in (400, 413)
    assert refusal([output | {"path": inside}]) == [""]  # Nothing was wrong with the rest.


@pytest.mark.parametrize("left", [timedelta(seconds=-1), timedelta(seconds=0)])
def test_a_token_ends(farm: Farm, thief: FakeRunner, left: timedelta) -> None:
    assert thief.beat() == "continue"
    with farm.database.write() as connection:
        connection.execute(update(runner_table).values(expires_at=datetime.now(UTC) + left))
    calls = {
        "job": thief.http.get("/v1/runner/job"),
        "ready": thief.http.post("/v1/runner/heartbeat", json={}),
        "claim": thief.http.post("/v1/runner/claims", json={}),
        "beat": thief.post("heartbeat", {}),
        "frame": thief.done_refused(1),
        "log": thief.post("log", {"offset": 0, "text": "x"}),
        "finish": thief.finish(),
        "put": thief.http.put(f"/v1/runner/blobs/{'0' * 64}", content=b"x"),
        "get": thief.http.get(f"/v1/runner/blobs/{'0' * 64}"),
    }
    assert {name: answer.status_code for name, answer in calls.items()} == dict.fromkeys(calls, 401)
    with farm.database.read() as connection:  # Nor does a call renew it.
        assert connection.execute(select(runner_table.c.expires_at)).scalar_one() < datetime.now(
            UTC
        )
