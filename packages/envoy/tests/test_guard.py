"""No web page can make Envoy do anything."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from envoy.config import Settings
from envoy.main import running
from envoy.process.listening import listen
from http_gate.bodies import SMALL

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def envoy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """One Envoy for all of these: a refused request leaves nothing behind."""
    data_dir = tmp_path_factory.mktemp("guard")
    with listen(0) as listener:
        address = f"http://127.0.0.1:{listener.port}"
        settings = Settings(data_dir=data_dir, farm_url="http://127.0.0.1:9")
        async with running(settings, listener), httpx.AsyncClient(base_url=address) as client:
            yield client


def port_of(client: httpx.AsyncClient) -> int:
    port = client.base_url.port
    assert port is not None
    return port


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
async def test_our_own_names_may(envoy: httpx.AsyncClient, name: str) -> None:
    host = f"{name}:{port_of(envoy)}"
    assert (await envoy.get("/envoy/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost", "localhost:1", "127.0.0.1.evil.example:{port}", ""]
)
async def test_other_names_may_not(envoy: httpx.AsyncClient, host: str) -> None:
    headers = {"Host": host.format(port=port_of(envoy))}
    answer = await envoy.get("/envoy/health", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    [
        *("null", "https://evil.example", "http://localhost", "https://127.0.0.1:{port}"),
        *("http://127.0.0.1:{port}", "http://localhost:{port}", ""),
    ],
)
async def test_no_page_may(envoy: httpx.AsyncClient, method: str, origin: str) -> None:
    headers = {"Origin": origin.format(port=port_of(envoy)), "Content-Type": "application/json"}
    answer = await envoy.request(method, "/envoy/health", headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_that_another_user_left_at_our_address_signs_nobody_in(
    envoy: httpx.AsyncClient,
) -> None:
    # What a browser sends for a page that it loaded from this port before this Envoy started.
    page = {"Origin": f"http://127.0.0.1:{port_of(envoy)}", "Sec-Fetch-Site": "same-origin"}
    for headers in (page, *({name: value} for name, value in page.items())):
        answer = await envoy.post("/auth", json={}, headers=headers)
        assert answer.status_code == 403, headers
        assert answer.json()["code"] == "forbidden"
    assert (await envoy.post("/auth", json={})).status_code == 401  # A script is let in.


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "none", "same-origin"])
async def test_no_browser_is_answered(envoy: httpx.AsyncClient, site: str) -> None:
    answer = await envoy.get("/envoy/health", headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    # What somebody left at this address goes when the user visits it, and when no page has a say.
    cleared = '"cache", "storage"' if site == "none" else None
    assert answer.headers.get("Clear-Site-Data") == cleared


async def test_a_service_worker_gets_nothing_loaded_for_it(envoy: httpx.AsyncClient) -> None:
    for value in ("true", ""):
        headers = {"Service-Worker-Navigation-Preload": value}
        assert (await envoy.get("/user-info", headers=headers)).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_an_address_bar_changes_nothing(envoy: httpx.AsyncClient, method: str) -> None:
    headers = {"Sec-Fetch-Site": "none"}
    answer = await envoy.request(method, "/envoy/stop", json={}, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
async def test_changes_must_be_json(
    envoy: httpx.AsyncClient, method: str, kind: str | None
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = await envoy.request(method, "/envoy/stop", content="{}", headers=headers)
    assert answer.status_code == 415
    assert "application/json" in answer.json()["message"]


async def test_a_charset_is_fine(envoy: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = await envoy.post("/auth", content="{}", headers=headers)
    assert answer.status_code == 401  # Let in, and told that nobody can sign in with nothing.


async def test_a_stated_large_body_is_refused_unread(envoy: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(envoy))
    writer.write(
        f"POST /auth HTTP/1.1\r\nHost: localhost:{port_of(envoy)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {SMALL.size + 1}\r\n\r\n".encode()
    )
    answer = await reader.readuntil(b"too_large")
    assert answer.startswith(b"HTTP/1.1 413")
    writer.close()


@pytest.mark.parametrize("stated", [True, False])
async def test_a_body_of_just_the_limit_is_read(envoy: httpx.AsyncClient, stated: bool) -> None:
    body = b"{}".ljust(SMALL.size)

    async def parts() -> AsyncIterator[bytes]:
        yield body[:100]
        yield body[100:]

    headers = {"Content-Type": "application/json"}
    answer = await envoy.post("/auth", content=body if stated else parts(), headers=headers)
    assert answer.status_code == 401  # Let in, as above.


async def test_a_large_body_of_unstated_length_is_refused(envoy: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 2**20

    headers = {"Content-Type": "application/json"}
    try:
        answer = await envoy.post("/auth", content=parts(), headers=headers)
    except (httpx.WriteError, httpx.ReadError):
        return  # Refused, and the connection closed, while we were still sending.
    assert answer.status_code == 413
