"""A farm elsewhere has no file sent to what only this machine or its network can reach."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from envoy.errors import FarmAnswerError
from envoy.farm import addresses
from envoy.farm.addresses import Reach, origin, reach_of_host, reach_of_peer, ticket_url
from envoy.farm.client import FarmClient
from envoy_fake_farm import EMAIL, PASSWORD, FakeFarm
from farm_protocol.account import LoginRequest
from farm_protocol.files import BlobRef, Ticket
from httpcore import AsyncNetworkStream
from messages import saying, says
from other_users import own_address

ELSEWHERE = "http://farm.example.com"
TLS = "https://farm.example.com"
HERE = [
    *("localhost", "x.localhost.", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0.0.0.0"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"),
    *("[2002:7f00:1::]", "169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"),
]
NEAR = ["10.1.2.3", "192.168.0.1", "100.64.0.1", "[fd00:ec2::254]", "[64:ff9b::a01:203]", "[::2]"]
FAR = ["store.example.com", "8.8.8.8", "[2600::1]", "[64:ff9b::808:808]"]


ON_ANOTHER = "farm-gave-foreign-address"
HERE_MESSAGE = (ON_ANOTHER, saying("on-this-machine"))
"""The address is one of this machine, which the farm is not."""


def is_about_an_address(error: FarmAnswerError) -> bool:
    return says(error, ON_ANOTHER) or says(error, "farm-gave-invalid-address-file")


@pytest.mark.parametrize("host", [*HERE, *NEAR, *FAR])
def test_an_address_is_one_of_who_can_reach_it(host: str) -> None:
    expected = Reach.THIS_MACHINE if host in HERE else Reach.NETWORK
    assert reach_of_host(host) is (Reach.EVERYBODY if host in FAR else expected)
    for reach in Reach:
        for url in (f"http://{host}:8090/x", f"//{host}/x"):
            if reach_of_host(host) < reach:
                with pytest.raises(FarmAnswerError, check=is_about_an_address):
                    ticket_url(ELSEWHERE, url, reach)
            else:
                assert ticket_url(ELSEWHERE, url, reach)[1] is False


def test_the_farms_own_address_is_its_own() -> None:
    for farm in (ELSEWHERE, "http://127.0.0.1:8091", "http://192.168.0.1"):
        assert ticket_url(farm, "/v1/blobs/x", Reach.EVERYBODY)[1] is True
        assert ticket_url(farm, f"{farm}/v1/blobs/x", Reach.EVERYBODY)[1] is True


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://farm.example.com", "http://farm.example.com:80"),
        ("HTTP://Farm.Example.com:80/v1/", "http://farm.example.com:80"),
        ("https://farm.example.com/", "https://farm.example.com:443"),
        ("https://farm.example.com:8443", "https://farm.example.com:8443"),
        ("gopher://farm.example.com", "gopher://farm.example.com:0"),
        ("http://[::1", "http://[::1"),
    ],
)
def test_a_farm_is_its_scheme_host_and_port(url: str, expected: str) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize(
    ("ticket", "leads_to"),
    [
        ("/v1/blobs/x", f"{TLS}/v1/blobs/x"),
        ("v1/blobs/x", f"{TLS}/v1/blobs/x"),
        (f"{TLS}/v1/blobs/x", f"{TLS}/v1/blobs/x"),
        (f"{TLS}:443/v1/blobs/x", f"{TLS}/v1/blobs/x"),
        ("//farm.example.com/x", f"{TLS}/x"),
    ],
)
def test_only_the_farm_itself_sees_its_key(ticket: str, leads_to: str) -> None:
    url, is_own = ticket_url(TLS, ticket, Reach.EVERYBODY)
    assert (str(url), is_own) == (leads_to, True)


@pytest.mark.parametrize(
    "ticket",
    [
        "http://farm.example.com/x",  # Others on the way could read it.
        "https://farm.example.com:8443/x",
        "https://farm.example.com.evil.example/x",
        "https://store.example.com/x",
        "//store.example.com/x",
        "https://8.8.8.8/x",
        "https://[2600::1]/x",
        "https://localhost.example.com/x",
    ],
)
def test_another_address_does_not(ticket: str) -> None:
    assert ticket_url(TLS, ticket, Reach.EVERYBODY)[1] is False


@pytest.mark.parametrize(
    "ticket",
    [
        "file:///etc/passwd",
        "gopher://store.example.com/x",
        "http://",
        "http:///x",
        "https://user@store.example.com/",
        "https://user:secret@store.example.com/",
        "https://user:secret@farm.example.com/v1/blobs/x",
        "https://user@farm.example.com/v1/blobs/x",
        "//user:secret@farm.example.com/v1/blobs/x",
        "http://[::1",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_address_for_a_file(ticket: str) -> None:
    with pytest.raises(FarmAnswerError, check=saying("farm-gave-invalid-address-file")) as caught:
        ticket_url(TLS, ticket, Reach.EVERYBODY)
    assert not caught.value.may_pass


def test_a_password_in_the_users_own_address_of_the_farm_stays() -> None:
    """It is theirs, and not of the farm's making."""
    farm = "https://user:secret@farm.example.com"
    url, is_own = ticket_url(farm, "/v1/blobs/x", Reach.EVERYBODY)
    assert (str(url), url.userinfo, is_own) == (f"{farm}/v1/blobs/x", b"user:secret", True)


@pytest.mark.parametrize("gone", [{"server_addr"}, {"client_addr"}, {"server_addr", "client_addr"}])
def test_of_a_connection_that_broke_off_nobody_knows_where_it_led(gone: set[str]) -> None:
    class Broken(AsyncNetworkStream):
        def get_extra_info(self, info: str) -> tuple[str, int] | None:
            return None if info in gone else ("192.0.2.1", 80)

    with pytest.raises(httpx.ReadError):
        reach_of_peer(Broken())


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Names that lead to an address, whatever the system says."""
    known: dict[str, str] = {}
    real = socket.getaddrinfo

    def look_up(host: str | bytes, *args: Any, **kwargs: Any) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        return real(known.get(name, host), *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What is only for this machine."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def came(listener: socket.socket) -> list[bytes]:
    """Return what everybody sent who has connected."""
    found = []
    listener.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                found.append(connection.recv(65536))
    return found


async def put(farm: FarmClient, tmp_path: Path, url: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"secret")
    await farm.put_blob(Ticket(hash="0" * 64, url=url), path, str(tmp_path), 6, lambda _: None)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", ["localtest.me", "own.example.com"])
async def test_a_name_that_means_this_machine_is_sent_nothing(
    names: dict[str, str], listener: socket.socket, tmp_path: Path, scheme: str, name: str
) -> None:
    names[name] = "127.0.0.1"
    farm = FarmClient(ELSEWHERE)
    try:
        for _ in range(2):
            with pytest.raises(FarmAnswerError, check=saying(*HERE_MESSAGE, name)):
                await put(farm, tmp_path, f"{scheme}://{name}:{listener.getsockname()[1]}/x")
    finally:
        await farm.close()
    # It was connected to, and that was all.
    assert came(listener) == [b"", b""]


async def test_an_address_of_this_machine_is_one_whatever_it_is(
    names: dict[str, str], listener: socket.socket, tmp_path: Path
) -> None:
    """Its address in the network is a private or a public one."""
    own = own_address()
    names["store.example.com"] = own
    farm = FarmClient(ELSEWHERE)
    with socket.create_server((own, 0)) as server:
        try:
            with pytest.raises(FarmAnswerError, check=saying(*HERE_MESSAGE)):
                await put(farm, tmp_path, f"http://store.example.com:{server.getsockname()[1]}/x")
        finally:
            await farm.close()
        assert came(server) == [b""]


@pytest.mark.parametrize("proxy", ["none", "for others"])
async def test_a_farm_on_this_machine_may_have_its_store_there(
    names: dict[str, str],
    farm: FakeFarm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
) -> None:
    if proxy == "for others":
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "farm.example.com,store.example.com")
    # By a name, which says nothing: how its tickets came is what counts.
    names |= {"farm.example.com": "127.0.0.1", "store.example.com": "127.0.0.1"}
    port = farm.url.rpartition(":")[2]
    client = FarmClient(f"{ELSEWHERE}:{port}")
    try:
        with pytest.raises(FarmAnswerError, check=saying(*HERE_MESSAGE)):
            await put(client, tmp_path, f"http://store.example.com:{port}/v1/blobs/{'0' * 64}")
        answer = await client.login(LoginRequest(email=EMAIL, secret=PASSWORD))
        client.act_for(EMAIL, answer.access_key)
        await client.missing([BlobRef(hash="0" * 64, size=6)])
        # Sent, but without the key, so that this one refuses it.
        with pytest.raises(FarmAnswerError) as refused:
            await put(client, tmp_path, f"http://store.example.com:{port}/v1/blobs/{'0' * 64}")
        assert refused.value.body.code == "not_authenticated"
    finally:
        await client.close()


def answer_once(server: socket.socket) -> None:
    """Answer one request as a farm that misses nothing, through whatever proxy."""
    connection, _ = server.accept()
    with connection:
        while b"}" not in (part := connection.recv(65536)) and b"secret" not in part:
            if not part:
                answer_once(server)  # It was only looked at.
                return
        body = b'{"tickets": []}'
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)


async def test_a_proxy_of_this_machine_says_nothing_of_the_farm(
    names: dict[str, str], listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reached over loopback, and so is what it is told to leave alone."""
    names["localtest.me"] = "127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "localtest.me")
        farm = FarmClient(ELSEWHERE)
        farm.act_for(EMAIL, "key")
        answering = threading.Thread(target=answer_once, args=(proxy,))
        answering.start()
        try:
            assert await farm.missing([BlobRef(hash="0" * 64, size=6)]) == []
            with pytest.raises(FarmAnswerError, check=saying(*HERE_MESSAGE)):
                await put(farm, tmp_path, f"http://localtest.me:{listener.getsockname()[1]}/x")
        finally:
            await farm.close()
            answering.join()
    assert came(listener) == [b""]


@pytest.fixture
def farm_elsewhere(
    names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A server that counts as another machine's; farm.example.com leads there."""
    real = addresses._reach
    far = ipaddress.ip_address("127.0.0.2")
    monkeypatch.setattr(addresses, "_reach", lambda a: Reach.EVERYBODY if a == far else real(a))
    names["farm.example.com"] = str(far)
    with socket.create_server((str(far), 0)) as made:
        yield made


CALLS: dict[str, Callable[[FarmClient], Awaitable[object]]] = {
    "missing": lambda farm: farm.missing([BlobRef(hash="0" * 64, size=6)]),
    "projects": lambda farm: farm.projects(),
    "changes": lambda farm: farm.changes(0, 0.0),
    "login": lambda farm: farm.login(LoginRequest(email=EMAIL, secret=PASSWORD)),
    "blob": lambda farm: anext(aiter_of(farm)),
}


async def aiter_of(farm: FarmClient) -> AsyncIterator[bytes]:
    async with farm.blob("0" * 64) as parts:
        async for part in parts:
            yield part


@pytest.mark.parametrize("call", ["file", *CALLS])
async def test_a_farm_elsewhere_leads_its_own_name_here_in_vain(
    farm_elsewhere: socket.socket, names: dict[str, str], tmp_path: Path, call: str
) -> None:
    port = farm_elsewhere.getsockname()[1]
    farm = FarmClient(f"{ELSEWHERE}:{port}")
    farm.act_for(EMAIL, "key")
    answering = threading.Thread(target=answer_once, args=(farm_elsewhere,))
    answering.start()
    with socket.create_server(("127.0.0.1", port)) as service:
        try:
            assert await farm.missing([BlobRef(hash="0" * 64, size=6)]) == []
            names["farm.example.com"] = "127.0.0.1"
            with pytest.raises(FarmAnswerError) as refused:
                await (CALLS[call](farm) if call in CALLS else put(farm, tmp_path, "/v1/blobs/x"))
            assert refused.value.may_pass
        finally:
            await farm.close()
            answering.join()
        assert set(came(service)) == {b""}


async def test_a_farm_that_has_come_nearer_is_sent_files_once_it_gives_tickets_there(
    farm_elsewhere: socket.socket,
    names: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A laptop goes to its studio, where the farm's name means an address of the network."""
    port = farm_elsewhere.getsockname()[1]
    farm = FarmClient(f"{ELSEWHERE}:{port}")
    farm.act_for(EMAIL, "key")
    near = ipaddress.ip_address("127.0.0.3")
    looked = addresses._reach
    monkeypatch.setattr(addresses, "_reach", lambda a: Reach.NETWORK if a == near else looked(a))
    with socket.create_server((str(near), port)) as moved:

        def answer_all() -> None:
            for each in (farm_elsewhere, moved, moved):
                answer_once(each)

        answering = threading.Thread(target=answer_all)
        try:
            refs = [BlobRef(hash="0" * 64, size=6)]
            asked = asyncio.create_task(farm.missing(refs))
            answering.start()
            await asked
            names["farm.example.com"] = str(near)
            with pytest.raises(FarmAnswerError):
                await put(farm, tmp_path, "/v1/blobs/x")
            await put(farm, tmp_path, "/v1/blobs/x")
        finally:
            await farm.close()
            answering.join()
