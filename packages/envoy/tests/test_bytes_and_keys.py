"""Only its own farm sees the access key, and only the bytes that were announced are taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from blake3 import blake3
from envoy.process.status_messages import Reason
from envoy_fake_farm import FakeFarm
from envoy_faults import Fault
from envoy_start import Start
from envoy_studio import Studio, until
from farm_protocol.errors import ErrorCode
from messages import says
from short_servers import listening
from starlette.responses import JSONResponse

OUT = "demo/render_results/out"


class ObjectStore:
    """A store at another address, that takes what is put there and remembers the headers."""

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ObjectStore"]:
        async with listening(self._answer) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = next(
            int(line.partition(":")[2])
            for line in head.splitlines()
            if line.startswith("content-length")
        )
        self.bodies.append(await reader.readexactly(size))
        self.heads.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()


@pytest.mark.parametrize("path", ["/bucket/blob?signature=x", "//{host}/bucket/blob"])
async def test_a_ticket_of_another_address_gets_the_file_and_no_key(
    studio: Studio, path: str
) -> None:
    digest = blake3(b"scene").hexdigest()
    studio.write("scene.blend", b"scene")
    async with ObjectStore().serving() as store:
        host = store.url.removeprefix("http://")
        url = path.format(host=host) if path.startswith("//") else store.url + path
        tickets = JSONResponse({"tickets": [{"hash": digest, "url": url}]})
        studio.farm.faults = [Fault("POST", "/v1/blobs/missing", tickets, 1)]
        await studio.submit()

        async def came() -> object:
            return store.heads

        (head,) = await until(came)
    assert store.bodies == [b"scene"]
    assert head.startswith("put /bucket/blob")
    for secret in ("authorization", "cookie", *studio.farm.keys.values()):
        assert secret not in head
    # The same file at the farm's own address comes with it.
    assert studio.farm.keys


@pytest.mark.parametrize(
    ("data", "size"),
    [(b"PIXELS", 6), (b"pixel", 6), (b"pixels!", 6), (b"", 6), (b"pixels", 5), (b"pixels", 7)],
)
async def test_other_bytes_than_the_announced_never_appear(
    studio: Studio, data: bytes, size: int
) -> None:
    submission_id = await studio.submitted()
    name = blake3(b"pixels").hexdigest()
    studio.farm.output(submission_id, f"{OUT}/bad.png", data, blob_hash=name, size=size)
    studio.farm.output(submission_id, f"{OUT}/good.png", b"others")

    async def failed() -> dict[str, Any] | None:
        downloads = (await studio.of(submission_id))["downloads"]
        return downloads if downloads["files_failed"] == 1 and downloads["files_done"] else None

    downloads = await until(failed)
    assert says(downloads["message"], "cannot-downloaded", "bad.png")
    assert downloads["reason"] == Reason.CORRUPT
    assert [path.name for path in studio.results.iterdir()] == ["good.png"]


async def test_what_is_for_one_farm_is_never_sent_to_another(start: Start, farm: FakeFarm) -> None:
    # The same e-mail address at both, and one data folder.
    studio = await start()
    await studio.sign_in()
    studio.write("scene.blend", b"for one farm")
    done = await studio.submitted()
    farm.faults = [
        Fault("POST", "/v1/blobs/missing", ErrorCode.UNAVAILABLE, 10**9),
        Fault("GET", "/v1/blobs/", ErrorCode.UNAVAILABLE, 10**9),
    ]
    waits = await studio.submit()
    farm.output(done, f"{OUT}/f.png", b"pixels")
    await until(lambda: farm.count("POST", "/v1/blobs/missing"))
    await until(lambda: farm.count("GET", "/v1/blobs/"))
    await start.stop()

    with FakeFarm().serving() as other:
        studio = await start(farm_url=other.url)
        await studio.sign_in()
        held = await studio.of(waits)
        assert farm.url in held["message"]
        assert held["reason"] == Reason.OTHER_FARM
        mine = await studio.submit(project_request=renamed(studio))
        await studio.until_state(mine, "submitted")
        assert set(other.specs) == {mine}
        assert not other.count("GET", "/v1/blobs/")
        # Nor is it believed about the other's submissions.
        other.submissions[done] = other.submissions[mine]
        other.output(done, f"{OUT}/g.png", b"evil")
        other.output(mine, f"{OUT}/h.png", b"good")
        await until(lambda: (studio.results / "h.png").exists())
        # Nor what it says that it is: no other feed is read from there on.
        other.farm_id = farm.farm_id
        other.feed += [other.feed[-1]] * 100
        other.output(mine, f"{OUT}/i.png", b"good")
        await until(lambda: (studio.results / "i.png").exists())
        assert not (studio.results / "g.png").exists()
        await start.stop()

    farm.faults = []
    studio = await start()
    sent = await studio.until_state(waits, "submitted")
    assert (sent["message"], sent["reason"]) == ("", Reason.NONE)
    await until(lambda: (studio.results / "f.png").exists())
    farm.output(done, f"{OUT}/j.png", b"pixels")
    await until(lambda: (studio.results / "j.png").exists())


def renamed(studio: Studio) -> dict[str, Any]:
    request: dict[str, Any] = studio.body()["project_request"]
    return request | {"params": request["params"] | {"submission_name": "second"}}
