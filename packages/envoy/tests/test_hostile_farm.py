"""A hostile or broken farm costs Envoy little, and spoils one result at most."""

import asyncio
import json
from typing import Any

import envoy.farm.answers
import envoy.farm.client
import envoy.journal.downloads
import envoy.watch.follow
import hostile_answers as answers
import pytest
from envoy.errors import FarmAnswerError
from envoy_fake_farm import EMAIL
from envoy_faults import Fault
from envoy_start import Start
from envoy_studio import Studio, settled, until, waits_for
from hostile_answers import ALWAYS, LONG_SECONDS, OUT, page, row
from messages import saying, says
from short_servers import listening

# What the answer is made of


async def test_cookies_are_not_kept(studio: Studio) -> None:
    """Each answer may bring some, and a jar would keep them all."""
    brings = [(b"set-cookie", b"c%d=%s; Path=/; Max-Age=9999" % (n, b"x" * 99)) for n in range(20)]
    brings.append((b"content-type", b"application/json"))
    answer = answers.Answer([json.dumps(page()).encode()], headers=brings)
    studio.farm.faults = [Fault("GET", "/v1/changes", answer, ALWAYS)]
    await until(lambda: _true(answer.calls > 2))
    assert not answer.cookies


async def _true(found: bool) -> bool:
    return found


async def test_a_packed_answer_is_not_unpacked(studio: Studio) -> None:
    bomb = answers.packed(b" " * 100_000_000)
    studio.farm.faults = [Fault("GET", "/v1/changes", bomb, ALWAYS)]
    submission_id = await studio.submitted()
    await waits_for(studio, saying("farms-answer-compressed"))
    studio.farm.faults = []
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)


@pytest.mark.parametrize("status", [200, 500, 404])
async def test_an_endless_feed_is_read_to_a_limit(studio: Studio, status: int) -> None:
    submission_id = await studio.submitted()
    feed = answers.endless(status=status)
    studio.farm.faults = [Fault("GET", "/v1/changes", feed, 1)]
    # The running question ends with this; the next one is answered without an end.
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    studio.farm.output(submission_id, f"{OUT}/g.png", b"pixels")
    await settled(studio, submission_id, files_done=2)
    await until(lambda: feed.calls)
    assert not feed.ended
    # What lies in buffers on the way has gone out, too.
    assert feed.sent < envoy.farm.answers.PAGE_BYTES + 2**25


@pytest.mark.parametrize("method_path", [("GET", "/v1/me"), ("POST", "/v1/login")])
async def test_an_endless_answer_to_a_question_is_an_error(
    studio: Studio, method_path: tuple[str, str]
) -> None:
    method, path = method_path
    endless = answers.endless()
    studio.farm.faults = [Fault(method, path, endless, ALWAYS)]
    if method == "GET":
        answer = await studio.http.get("/user-info")
    else:
        answer = await studio.http.post("/auth", json={"Username": "a@b.c", "AccessKey": "x"})
    assert answer.status_code == 502
    assert says(answer.json()["message"], "farms-answer-larger-than-bytes", path)
    assert endless.sent < 2**26


async def test_an_answer_that_drips_is_given_up(hurried: None, studio: Studio) -> None:
    feed = answers.dripping()
    studio.farm.faults = [Fault("GET", "/v1/changes", feed, 1)]
    submission_id = await studio.submitted()
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    await until(lambda: feed.calls)
    assert not feed.ended


@pytest.mark.parametrize("path", ["/v1/me", "/v1/blobs/"])
async def test_an_answer_in_very_many_small_parts_is_not_read(studio: Studio, path: str) -> None:
    crumbs = answers.endless(b" ")
    studio.farm.faults = [Fault("GET", path, crumbs, 1)]
    if path == "/v1/me":
        answer = await studio.http.get("/user-info")
        assert answer.status_code == 502
        assert says(answer.json()["message"], "farms-answer-comes-too-many")
    else:
        submission_id = await studio.submitted()
        studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
        await settled(studio, submission_id, files_done=1)
    assert not crumbs.ended
    assert crumbs.sent < 1_000_000


async def test_others_have_a_turn_while_an_answer_is_read() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"1\r\n \r\n" * 9_000 + b'10\r\n{"projects": []}\r\n0\r\n\r\n')
        await writer.drain()

    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with listening(answer) as port:
        farm = envoy.farm.client.FarmClient(f"http://127.0.0.1:{port}")
        farm.act_for(EMAIL, "key")
        answer_of = asyncio.create_task(farm.projects())
        others = asyncio.create_task(take_turns())
        assert await answer_of == []
        others.cancel()
        await farm.close()
    assert turns >= 90


GARBAGE = {
    "nothing": b"",
    "no json": b"<html>",
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "a long number": b"1" * 1_000_000,
    "null": b"null",
    "a list": b"[]",
    "another list": b'[1, "x", null, {"a": NaN}]',
    "half a character": b'{"message": "\\ud800", "code": "x"}',
    "other types": b'{"email": {}, "projects": 1, "files": {}, "outputs": "x", "credits_available":'
    b' NaN, "jobs": 7, "text": [], "cursor": -1e999, "frames": [[]], "more": "maybe"}',
}


NOT_UNDERSTOOD = ("farms-answer-to-has-faults", "farms-answer-too-many-values")


@pytest.mark.parametrize("kind", GARBAGE)
async def test_an_answer_that_makes_no_sense_is_one_error_of_the_known_shape(
    studio: Studio, kind: str
) -> None:
    submission_id = await studio.submitted()
    job = f"{submission_id}-0"
    studio.farm.faults = [
        Fault(method, "/v1/", answers.raw(GARBAGE[kind]), ALWAYS) for method in ("GET", "POST")
    ]
    for path in (
        "/user-info",
        "/credits-info",
        "/projects",
        "/project/demo/Files",
        "/products",
        "/machines?app=blender&operation=render",
        "/envoy/projects/demo/results",
        f"/envoy/jobs/{job}/log",
        f"/envoy/jobs/{job}/frames",
    ):
        answer = await studio.http.get(path)
        if path.startswith(("/products", "/machines")) and kind == "a list":
            assert answer.status_code == 200
            continue
        assert answer.status_code == 502, (path, answer.text)
        message = answer.json()["message"]
        assert any(says(message, each) for each in NOT_UNDERSTOOD), path
    for path, body in (
        ("/auth", {"Username": EMAIL, "AccessKey": "x"}),
        (f"/envoy/jobs/{job}/stop", {}),
        ("/project-submit", studio.body()),
    ):
        answer = await studio.http.post(path, json=body)
        sensible = path == "/project-submit" and kind in ("other types", "half a character")
        assert answer.status_code == 502 or sensible, (path, answer.text)
    status = (await studio.http.get("/project-status/demo")).json()
    assert status["State"] in ("Submitted", "Uploading")
    assert (await studio.activity())["submissions"]


@pytest.mark.parametrize("row", [b"0", b"{}", b"[]", b'""'])
async def test_a_list_of_next_to_nothing_is_not_read(studio: Studio, row: bytes) -> None:
    # Read, each of these would cost many times its size, and as an error even more.
    many = b'{"files":[' + b",".join([row] * 5_000_000) + b"]}"
    studio.farm.faults = [Fault("GET", "/v1/projects/", answers.raw(many), ALWAYS)]
    answer = await studio.http.get("/project/demo/Files")
    assert answer.status_code == 502
    assert says(answer.json()["message"], "farms-answer-too-many-values")


@pytest.mark.parametrize("row", [b"[" * 100 + b"]" * 100, b'{"a":' * 50 + b"1" + b"}" * 50])
@pytest.mark.parametrize("page", ["/v1/changes", "/v1/projects/", "/v1/jobs/"])
async def test_nor_are_lists_in_lists(studio: Studio, row: bytes, page: str) -> None:
    # With few commas: read, a page of these would cost ten gigabytes, and half a minute.
    submission_id = await studio.submitted()
    many = b'{"outputs":[' + b",".join([row] * 40_000) + b"]}"
    studio.farm.faults = [Fault("GET", page, answers.raw(many), ALWAYS)]
    if page == "/v1/changes":
        studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
        await waits_for(studio, saying("farms-answer-too-many-values"))
        return
    url = {"/v1/projects/": "/project/demo/Files", "/v1/jobs/": "/envoy/jobs/1/log"}[page]
    answer = await studio.http.get(url)
    assert answer.status_code == 502
    assert says(answer.json()["message"], "farms-answer-too-many-values")


async def test_a_log_may_be_full_of_brackets(studio: Studio) -> None:
    submission_id = await studio.submitted()
    job_id = studio.farm.submissions[submission_id][1].jobs[0].id
    text = '[{"a": [1, 2]}, "\\\\", {}],\n' * 20_000
    studio.farm.logs[job_id] = [text]
    answer = await studio.http.get("/envoy/jobs/1/log")
    assert answer.status_code == 200
    assert answer.json()["text"] == text


@pytest.mark.parametrize("cursor", [4, 5, -1])
async def test_a_log_that_does_not_get_on_is_an_error(studio: Studio, cursor: int) -> None:
    await studio.submitted()
    same = answers.told({"text": "x", "cursor": cursor})
    studio.farm.faults = [Fault("GET", "/v1/jobs/", same, ALWAYS)]
    answer = await studio.http.get("/envoy/jobs/1/log?after=5")
    assert answer.status_code == 502
    assert says(answer.json()["message"], "log-does-not-advance")


async def test_a_list_of_wrong_rows_is_one_fault(studio: Studio) -> None:
    wrong = b'{"files":[' + b",".join([b'"a long enough text"'] * 500_000) + b"]}"
    studio.farm.faults = [Fault("GET", "/v1/projects/", answers.raw(wrong), ALWAYS)]
    answer = await studio.http.get("/project/demo/Files")
    assert answer.status_code == 502
    assert says(answer.json()["message"], "farms-answer-to-has-faults", 1)


async def test_a_page_of_the_feed_has_so_many_rows_at_most(studio: Studio) -> None:
    submission_id = await studio.submitted()
    rows = [row(submission_id, "x" * 40) for _ in range(10_001)]
    told = answers.told(page(*rows))
    studio.farm.faults = [Fault("GET", "/v1/changes", told, 1)]
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    studio.farm.output(submission_id, f"{OUT}/g.png", b"pixels")
    await settled(studio, submission_id, files_done=2, files_total=2)
    await until(lambda: told.calls)


# Where it leads


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
async def test_a_redirect_is_not_success_and_not_followed(studio: Studio, status: int) -> None:
    trap = answers.told({})
    elsewhere = answers.sent_on(status, f"{studio.farm.url}/trap")
    studio.farm.faults = [
        Fault("PUT", "/trap", trap, ALWAYS),
        Fault("POST", "/trap", trap, ALWAYS),
        Fault("GET", "/trap", trap, ALWAYS),
        Fault("PUT", "/v1/blobs/", elsewhere, 2),
        Fault("PUT", "/v1/projects/", elsewhere, 1),
        Fault("POST", "/v1/submissions/check", "pass"),
        Fault("POST", "/v1/submissions", elsewhere, 1),
        Fault("GET", "/v1/blobs/", elsewhere, 1),
    ]
    studio.write("scene.blend")
    submission_id = await studio.submit()
    await waits_for(studio, saying("farm-redirects", status))
    await studio.until_state(submission_id, "submitted")
    assert len(studio.farm.blobs) == 1
    studio.farm.output(submission_id, f"{OUT}/f.png", b"pixels")
    await settled(studio, submission_id, files_done=1)
    assert elsewhere.calls == 5
    assert trap.calls == 0


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://[::1",
        "gopher://farm/x",
        "http://user:secret@example.com/",
        "https://",
        "http://x\r\nHost: y/",
        "javascript:alert(1)",
    ],
)
async def test_a_ticket_that_leads_nowhere_fails_its_submission_with_a_message(
    studio: Studio, url: str
) -> None:
    studio.write("scene.blend", b"scene")
    studio.farm.faults = [
        Fault("POST", "/v1/blobs/missing", answers.told(_tickets(studio, url)), 1)
    ]
    row = await studio.until_state(await studio.submit(), "failed")
    assert says(row["message"], "farm-gave-invalid-address-file")


def _tickets(studio: Studio, url: str) -> dict[str, list[dict[str, str]]]:
    from blake3 import blake3

    return {"tickets": [{"hash": blake3(b"scene").hexdigest(), "url": url}]}


async def test_an_upload_whose_answer_drips_is_sent_again(hurried: None, studio: Studio) -> None:
    answer = answers.dripping()
    studio.farm.faults = [Fault("PUT", "/v1/blobs/", answer, 1)]
    await studio.submitted()
    assert answer.calls == 1


async def test_stopping_does_not_wait_for_a_farm_that_drips(studio: Studio, start: Start) -> None:
    answer = answers.dripping()
    studio.farm.faults = [
        Fault(method, "/v1/", answer, ALWAYS) for method in ("GET", "PUT", "POST")
    ]
    studio.write("scene.blend")
    asking = asyncio.create_task(studio.http.post("/project-submit", json=studio.body()))
    await until(lambda: answer.calls)
    await asyncio.wait_for(start.stop(), LONG_SECONDS)
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_path_of_any_length_is_matched_with_no_pattern(studio: Studio) -> None:
    submission_id = await studio.submitted()
    long = "x" * 10_000_000
    news = page(row(submission_id, f"{long}.png"), row(submission_id, "f.png", hash="z"))
    studio.farm.faults = [Fault("GET", "/v1/changes", answers.told(news))]
    studio.farm.output(submission_id, f"{OUT}/g.png", b"pixels")
    downloads = await settled(studio, submission_id, files_done=1, files_failed=1)
    assert downloads["files_total"] == 2


@pytest.mark.parametrize("field", ["message", "errors"])
async def test_a_refusal_is_nothing_that_a_terminal_obeys(studio: Studio, field: str) -> None:
    # Scripts print what they are told.
    evil = "\x1b]52;c;eA==\x07\x9b2J"
    errors = {f"jobs{evil}": [evil]} if field == "errors" else {}
    body = {"code": "invalid_request", "message": evil, "errors": errors, "retry": False}
    refusal = answers.Answer([json.dumps(body).encode()], 400)
    studio.farm.faults = [Fault("POST", "/v1/submissions/check", refusal, ALWAYS)]
    studio.write("scene.blend")
    answer = (await studio.http.post("/project-submit", json=studio.body())).json()
    told = [
        answer["message"],
        *answer["errors"],
        *(each for messages in answer["errors"].values() for each in messages),
    ]
    assert all("\x1b" not in each and "\x9b" not in each for each in told)
    assert "52;c;eA" in told[0]


async def test_a_farm_tells_of_no_more_jobs_than_were_submitted(studio: Studio) -> None:
    mine, other = [await studio.submitted() for _ in range(2)]
    (known,) = (each.model_dump(mode="json") for each in studio.farm.submissions[mine][1].jobs)
    known["message"], known["warnings"] = "x" * 100_000, ["y" * 10_000] * 50
    rows = [known | {"id": f"{mine}-{n}"} for n in range(50)]
    rows += [known | {"id": f"{other}-0"}, known | {"id": "z", "submission_id": "nobodys"}]
    told = answers.told(page(jobs=rows))
    studio.farm.faults = [Fault("GET", "/v1/changes", told, 1)]
    for name in ("f.png", "g.png"):
        studio.farm.output(mine, f"{OUT}/{name}", b"pixels")
    await settled(studio, mine, files_done=2)
    await until(lambda: told.calls)

    async def jobs_of(submission_id: str) -> Any:
        jobs = (await studio.of(submission_id))["jobs"]
        return jobs if len(jobs) != 1 or submission_id == other or jobs[0]["message"] else None

    (job,) = await until(lambda: jobs_of(mine))
    assert job["id"] == f"{mine}-0"
    assert len(json.dumps(job)) < 50_000
    (job,) = await jobs_of(other)
    assert (job["submission_id"], job["message"]) == (other, "")


async def test_a_submission_has_so_many_results_at_most(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy.journal.downloads, "MOST_RESULTS", 3)
    first, second = [await studio.submitted() for _ in range(2)]
    studio.farm.output(first, f"{OUT}/0", b"pixels")
    for number in range(5):
        studio.farm.output(first, f"{OUT}/{number}", b"pixels")
    studio.farm.output(second, f"{OUT}/a", b"pixels")
    await settled(studio, second, files_done=1)
    await settled(studio, first, files_done=3, files_total=3)


@pytest.mark.parametrize("status", [600, 700, 999])
async def test_what_is_no_status_of_http_is_not_handed_on(status: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"code": "conflict", "message": "x"}'
        head = f"HTTP/1.1 {status} Odd\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async with listening(answer) as port:
        farm = envoy.farm.client.FarmClient(f"http://127.0.0.1:{port}")
        farm.act_for(EMAIL, "key")
        with pytest.raises(FarmAnswerError) as refused:
            await farm.projects()
        await farm.close()
    assert (refused.value.status, refused.value.may_pass) == (502, True)


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00"])
async def test_a_time_that_no_calendar_has_in_utc_is_one_as_well(
    studio: Studio, created: str
) -> None:
    user: dict[str, object] = {
        "created": created,
        "email_address": "a",
        "name": "x",
        "service_plan": "p",
    }
    user |= {"credits_available": 1.0, "credits_consumed": 0.0}
    user |= {"job_throughput_limit": 1, "max_throughput": 1}
    studio.farm.faults = [Fault("GET", "/v1/me", answers.told(user), ALWAYS)]
    answer = await studio.http.get("/user-info")
    assert (answer.status_code, answer.json()["retry"]) == (502, True)
