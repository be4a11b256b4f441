"""Nobody fills the farm's disk: not with uploads, and not for everybody."""

import shutil
import socket
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from bombs import MB, Largest, make_bomb
from farm.db.plans import Plan
from farm.db.tables import accounts
from farm.scheduler.limits import set_plan
from farm.stores.room import RESERVED_PART, Quota, Room, shown
from farm_protocol.hashing import new_hasher
from messages import saying, says
from sqlalchemy import select

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of, wait_for

KB = 1000


def digest(data: bytes) -> str:
    hasher = new_hasher()
    hasher.update(data)
    return hasher.hexdigest()


def put(client: httpx.Client, data: bytes) -> httpx.Response:
    return client.put(f"/v1/blobs/{digest(data)}", content=data)


def refused(answer: httpx.Response) -> tuple[int, str, bool]:
    body = answer.json()
    return answer.status_code, body["code"], body["retry"]


QUOTA_EXCEEDED = (509, "quota_exceeded", True)
STORAGE_FULL = (507, "storage_full", True)


def limit(farm: Farm, **limits: int) -> None:
    with farm.database.write() as connection:
        set_plan(connection, Plan("Standard", 10, 10, **limits))


def fill(farm: Farm) -> None:
    """Let the disk have no room, as if it were so small."""
    farm.room._given = 2 * shutil.disk_usage(farm.data_dir).total


def stored(farm: Farm, admin: httpx.Client, email: str) -> int:
    size: int = admin.get(f"/v1/users/{email}").json()["stored_bytes"]
    return size


@pytest.fixture
def admin(farm: Farm) -> httpx.Client:
    from farm_protocol.users import Role

    return farm.user("root@example.com", role=Role.ADMIN)


def test_an_account_stores_what_its_plan_allows(farm: Farm, admin: httpx.Client) -> None:
    limit(farm, max_stored=100 * KB)
    ann = farm.user("ann@example.com", credits="0")  # Uploads cost nothing.
    assert put(ann, bytes(60 * KB)).status_code == 201
    assert put(ann, bytes(60 * KB)).status_code == 201  # The same again takes no more room.
    assert stored(farm, admin, "ann@example.com") == 60 * KB
    answer = put(ann, b"x" * (41 * KB))
    assert refused(answer) == QUOTA_EXCEEDED
    assert "60.0 kB" in answer.json()["message"]
    assert "100.0 kB" in answer.json()["message"]
    assert not [each for each in (farm.data_dir / "blobs" / "tmp").iterdir()]
    # Others are not held up, and a larger plan counts at once.
    assert put(farm.user("bob@example.com"), b"x" * (41 * KB)).status_code == 201
    limit(farm, max_stored=200 * KB)
    assert put(ann, b"x" * (41 * KB)).status_code == 201
    assert stored(farm, admin, "ann@example.com") == 101 * KB


def test_what_does_not_fit_is_refused_before_it_is_sent(farm: Farm) -> None:
    limit(farm, max_stored=100 * KB)
    ann = farm.user("ann@example.com")
    known = bytes(90 * KB)
    put(ann, known).raise_for_status()
    blobs = [{"hash": digest(known), "size": len(known)}]
    assert ann.post("/v1/blobs/missing", json={"blobs": blobs}).json() == {"tickets": []}
    blobs += [{"hash": "0" * 64, "size": 6 * KB}, {"hash": "1" * 64, "size": 5 * KB}]
    assert refused(ann.post("/v1/blobs/missing", json={"blobs": blobs})) == QUOTA_EXCEEDED
    tickets = ann.post("/v1/blobs/missing", json={"blobs": blobs[:2]}).json()["tickets"]
    assert [ticket["hash"] for ticket in tickets] == ["0" * 64]


def test_submissions_count_as_stored(farm: Farm, admin: httpx.Client) -> None:
    """Their rows fill the same disk."""
    limit(farm, max_stored=100 * KB)
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    before = stored(farm, admin, "ann@example.com")
    body = spec(params={"frames": "1 4", "note": "x" * (10 * KB)})
    for _ in range(2):  # The same again takes no more room.
        ann.post("/v1/submissions", json=body).raise_for_status()
        took = stored(farm, admin, "ann@example.com") - before
        assert 10 * KB < took < 20 * KB
    answers = [ann.post("/v1/submissions", json=body | {"id": f"{n:032x}"}) for n in range(9)]
    assert refused(answers[-1]) == QUOTA_EXCEEDED
    assert len(ann.get("/v1/jobs").json()["jobs"]) < 9
    assert stored(farm, admin, "ann@example.com") <= 100 * KB
    limit(farm, max_stored=200 * KB)
    ann.post("/v1/submissions", json=body | {"id": f"{8:032x}"}).raise_for_status()


def announce(
    farm: Farm,
    client: httpx.Client,
    size: int,
    sent: bytes = b"",
    of: bytes | None = None,
    path: str = "/v1/blobs",
) -> socket.socket:
    """Begin to send a blob of ``size`` bytes; under the hash of these, if given."""
    address = urlsplit(farm.url)
    made = socket.create_connection((address.hostname, address.port), 60)
    name = "a" * 64 if of is None else digest(of)
    head = f"PUT {path}/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
    head += f"Authorization: {client.headers['authorization']}\r\n\r\n"
    made.sendall(head.encode() + sent)
    return made


def test_what_is_announced_counts_until_it_is_there(farm: Farm) -> None:
    limit(farm, max_stored=100 * KB, max_in_flight=50 * KB)
    ann = farm.user("ann@example.com")
    with closing(announce(farm, ann, 45 * KB, b"begun")):
        while not farm.room._coming:
            pass
        answer = put(ann, b"y" * (10 * KB))
        assert refused(answer) == QUOTA_EXCEEDED
        assert says(answer.json()["message"], "too-much-in-flight")
        assert put(farm.user("bob@example.com"), b"y" * (10 * KB)).status_code == 201
    # It was given up, and so is its room.
    while farm.room._coming:
        pass
    assert put(ann, b"y" * (10 * KB)).status_code == 201


def test_uploads_that_lack_their_last_byte_count_as_a_whole(
    farm: Farm, admin: httpx.Client
) -> None:
    limit(farm, max_stored=100 * KB)
    ann = farm.user("ann@example.com")
    data = [bytes([number]) * (60 * KB) for number in range(4)]
    with ExitStack() as stack:
        codes = []
        first = stack.enter_context(closing(announce(farm, ann, 60 * KB, data[0][:-1], data[0])))
        while list(farm.room._coming.values()) != [1]:
            pass
        for each in data[1:]:
            made = stack.enter_context(closing(announce(farm, ann, 60 * KB, each[:-1], each)))
            codes.append(made.recv(13))
        assert codes == [b"HTTP/1.1 509 "] * 3
        first.sendall(data[0][-1:])
        assert first.recv(13) == b"HTTP/1.1 201 "
    assert stored(farm, admin, "ann@example.com") == 60 * KB


def test_a_list_of_files_counts_as_what_it_takes(farm: Farm, admin: httpx.Client) -> None:
    limit(farm, max_stored=100 * KB)
    ann = farm.user("ann@example.com", credits="0")
    bob = farm.user("bob@example.com")
    for client in (ann, bob):
        put(client, b"x").raise_for_status()
    entry = {"hash": digest(b"x"), "size": 1, "mtime_ns": 1}

    def add(first: int, count: int, client: httpx.Client = ann) -> httpx.Response:
        names = [f"demo/{'n' * 200}{number:04}" for number in range(first, first + count)]
        files = [entry | {"path": name} for name in names]
        return client.put("/v1/projects/demo/files", json={"files": files})

    assert add(0, 50).status_code == 200
    before = stored(farm, admin, "ann@example.com")
    assert 20 * KB < before < 80 * KB
    assert add(0, 50).status_code == 200  # The same again take no more room.
    assert stored(farm, admin, "ann@example.com") == before
    # Those of another user, in a project of that name, are others.
    assert add(0, 50, bob).status_code == 200
    assert stored(farm, admin, "bob@example.com") == before
    assert refused(add(50, 150)) == QUOTA_EXCEEDED
    assert len(ann.get("/v1/projects/demo/files").json()["files"]) == 50
    fill(farm)
    assert refused(add(50, 1)) == STORAGE_FULL


def test_the_names_of_results_count_as_stored(farm: Farm, admin: httpx.Client) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    ann.post("/v1/submissions", json=spec(params={"frames": "1 2"}, instances=1))
    runner = FakeRunner(farm)
    first, second = runner.claim()
    assert runner.done(first, data=b"x").status_code == 204
    before = stored(farm, admin, "ann@example.com")
    one = {"hash": digest(b"x"), "size": 1}
    names = [f"demo/render_results/out/{'n' * 200}{number:04}" for number in range(100)]
    outputs = [one | {"path": name} for name in names]
    assert runner.done(second, data=b"x", outputs=outputs).status_code == 204
    took = stored(farm, admin, "ann@example.com") - before
    assert 100 * 1.2 * KB < took < 100 * 3 * KB
    # The same again take no more room.
    runner.finish()
    farm.engine.living.clear()
    (job,) = ann.get("/v1/jobs").json()["jobs"]
    ann.post(f"/v1/jobs/{job['id']}/retry_all").raise_for_status()
    runner = FakeRunner(farm, 2)
    first, second = runner.claim()
    assert runner.done(first, data=b"x").status_code == 204
    assert runner.done(second, data=b"x", outputs=outputs).status_code == 204
    assert stored(farm, admin, "ann@example.com") - before == took


def test_a_new_project_counts_without_a_file_in_it(farm: Farm, admin: httpx.Client) -> None:
    ann = farm.user("ann@example.com")
    sizes = []
    for name in ("a", "a", "b"):
        ann.put(f"/v1/projects/{name}/files", json={"files": []}).raise_for_status()
        sizes.append(admin.get("/v1/users/ann@example.com").json()["stored_bytes"])
    assert 0 < sizes[0] == sizes[1] < sizes[2]


def test_a_blob_that_is_there_is_no_way_to_send_others(farm: Farm) -> None:
    limit(farm, max_stored=100 * KB)
    ann = farm.user("ann@example.com")
    data = bytes(60 * KB)
    assert put(ann, data).status_code == 201
    with closing(announce(farm, ann, 1 << 40, of=data)) as made:
        assert made.recv(13) == b"HTTP/1.1 422 "
    with closing(announce(farm, ann, 60 * KB, data[:-1], data)):
        while not farm.room._on_the_way:
            pass
        assert not farm.room._coming  # No room is kept, and nothing is written.
        assert not list((farm.data_dir / "blobs" / "tmp").iterdir())
    wrong = ann.put(f"/v1/blobs/{digest(data)}", content=b"x" * (60 * KB))
    assert wrong.json()["code"] == "hash_mismatch"
    assert ann.get(f"/v1/blobs/{digest(data)}").content == data


def test_an_upload_that_ends_early_is_no_mistake_of_the_farm(
    farm: Farm, caplog: pytest.LogCaptureFixture
) -> None:
    ann = farm.user("ann@example.com")
    with closing(announce(farm, ann, 45 * KB, b"begun")):
        while not farm.room._coming:
            pass
    while farm.room._on_the_way:
        pass
    assert put(ann, b"whole").status_code == 201
    assert "unexpected" not in caplog.text


def test_a_refusal_does_not_wait_for_the_bytes(farm: Farm) -> None:
    limit(farm, max_stored=100 * KB)
    ann = farm.user("ann@example.com")
    with closing(announce(farm, ann, 1 << 50)) as made:
        assert made.recv(1000).startswith(b"HTTP/1.1 509 ")
    fill(farm)
    with closing(announce(farm, ann, 10)) as made:
        assert made.recv(1000).startswith(b"HTTP/1.1 507 ")


def test_bytes_without_an_announced_number_are_refused(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    answer = ann.put(f"/v1/blobs/{digest(b'abc')}", content=iter([b"abc"]))
    assert refused(answer) == (400, "invalid_request", False)
    assert says(answer.json()["message"], "content-length-missing")


def test_a_full_disk_is_told_in_a_message_and_everything_goes_on(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    fill(farm)
    answer = put(ann, b"more")
    assert refused(answer) == STORAGE_FULL
    assert says(answer.json()["message"], "no-space-on-farms-disk")
    missing = {"blobs": [{"hash": "0" * 64, "size": 1}]}
    assert refused(ann.post("/v1/blobs/missing", json=missing)) == STORAGE_FULL
    # Everything that needs no room is answered.
    assert ann.get("/v1/me").status_code == 200
    farm.room._given = 0
    assert put(ann, b"more").status_code == 201


def wait_for_state(farm: Farm, client: httpx.Client, state: str) -> dict[str, Any]:
    for _ in range(600):
        farm.wakeup.notify()
        job = job_of(client)
        if job["state"] == state:
            return job
        client.get("/v1/changes", params={"after": 2**62, "wait": 0.1})
    raise AssertionError(job)


def test_results_are_taken_beyond_the_quota_and_no_more_are_begun(farm: Farm) -> None:
    limit(farm, max_stored=10 * KB)
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    runner = FakeRunner(farm)
    frames = runner.claim()
    assert runner.done(frames[0], data=b"r" * (20 * KB)).status_code == 204
    job = wait_for_state(farm, ann, "suspended")
    assert says(job["message"], "suspended-storage-used-up")
    assert job["frames_done"] == 1
    assert refused(put(ann, b"x")) == QUOTA_EXCEEDED
    limit(farm, max_stored=100 * KB)
    job = wait_for_state(farm, ann, "running" if job["frames_running"] else "ready")
    assert job["message"] == ""


def test_jobs_stand_still_while_the_disk_is_full(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    # Its reserve has room for what users ask for, but not for results.
    farm.room._given = 2 * shutil.disk_usage(farm.data_dir).free
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    job = wait_for_state(farm, ann, "suspended")
    assert says(job["message"], "suspended-disk-full")
    farm.room._given = 0
    FakeRunner(farm)  # It is started.


def test_half_of_the_reserve_is_for_results(farm: Farm) -> None:
    free = shutil.disk_usage(farm.data_dir).free
    room = Room(farm.data_dir, farm.data_dir, reserve=int(free * 1.5))
    from farm.errors import StorageFullError

    with pytest.raises(StorageFullError), room.taken("ann", 1, Quota(0, 0, 0, alone=True)):
        pass
    with room.taken("ann", 1, None):
        pass


def test_without_a_number_one_of_many_leaves_half_to_the_others(farm: Farm) -> None:
    free = shutil.disk_usage(farm.data_dir).free
    room = Room(farm.data_dir, farm.data_dir, reserve=0)
    from farm.errors import QuotaExceededError

    room.check("ann", free * 9 // 10, Quota(0, 0, 0, alone=True))
    room.check("ann", free * 4 // 10, Quota(0, 0, 0, alone=False))
    short = saying("account-storage-used-up", saying("share-farms-disk"))
    with pytest.raises(QuotaExceededError, check=short):
        room.check("ann", free * 6 // 10, Quota(0, 0, 0, alone=False))


def test_blobs_on_no_disk_of_this_machine_have_room_without_end(farm: Farm) -> None:
    room = Room(farm.data_dir, None, reserve=2 * shutil.disk_usage(farm.data_dir).total)
    room.check("ann", 1 << 60, Quota(0, 0, 0, alone=False))
    assert room.is_full()  # The database still has none.


def test_a_small_disk_keeps_a_part_of_itself(farm: Farm) -> None:
    total = shutil.disk_usage(farm.data_dir).total
    assert Room(farm.data_dir, None).reserve == min(1 << 30, total // RESERVED_PART)
    assert [shown(n) for n in (0, 999, 1500, 10**9, 2 * 10**12)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "1.0 GB",
        "2.0 TB",
    ]


def test_plans_have_sizes_over_the_api(farm: Farm, admin: httpx.Client) -> None:
    limits = {"job_throughput_limit": 3, "max_throughput": 4}
    sizes = {"max_stored": 5, "max_in_flight": 6}
    made = admin.put("/v1/plans/Small", json=limits | sizes).json()["plans"]
    assert [plan for plan in made if plan["name"] == "Small"] == [
        {"name": "Small", "users": 0, **limits, **sizes}
    ]
    # Who does not know of sizes leaves them as they are.
    made = admin.put("/v1/plans/Small", json=limits).json()["plans"]
    assert [plan["max_stored"] for plan in made if plan["name"] == "Small"] == [5]
    wrong = admin.put("/v1/plans/Small", json=limits | {"max_stored": -1})
    assert wrong.status_code == 400
    assert "max_stored" in wrong.json()["errors"]


def test_all_texts_of_a_submission_count(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"BLENDER-v304")

    def grown(name: str, folder: str) -> int:
        with farm.database.read() as connection:
            before = connection.execute(select(accounts.c.stored_bytes)).scalar_one()
        asked = spec() | {"name": name, "output_folder": folder}
        ann.post("/v1/submissions", json=asked).raise_for_status()
        with farm.database.read() as connection:
            after = connection.execute(select(accounts.c.stored_bytes)).scalar_one()
        return int(after - before)

    short = grown("x", "demo/a")
    assert grown("\u00e9" * 100, "demo/a") == short + 199
    assert grown("x", "demo/" + "a" * 101) == short + 100


@pytest.mark.parametrize("missing_files", ["warn"])
def test_a_scene_that_expands_leaves_the_disk_its_reserve(farm: Farm, tmp_path: Path) -> None:
    ann, bob = farm.user("ann@example.com", credits="0.01"), farm.user("bob@example.com")
    bomb = make_bomb(tmp_path / "bomb").read_bytes()
    send(ann, "demo/scene.blend", bomb)
    farm.room._given = shutil.disk_usage(farm.data_dir).free - 500 * MB
    with Largest(farm.data_dir / "scratch") as written:
        ann.post("/v1/submissions/check", json=spec()).raise_for_status()
        ann.post("/v1/submissions", json=spec()).raise_for_status()
        wait_for(ann, lambda job: says(str(job["warnings"]), "scene-files-unknown"))
        assert put(bob, bytes(60 * KB)).status_code == 201
    assert written.bytes <= 200 * MB
    # Nothing was wrong with the scene as far as anybody knew: with room, it is looked at again.
    farm.room._given = 0
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    wait_for(ann, lambda job: says(str(job["warnings"]), "expands-more-than-mb", 256))
