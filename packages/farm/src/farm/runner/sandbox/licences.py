"""The way from a sandbox to its licence servers, and to nothing else.

A sandbox has its own network, without any way out. For each server in the studio's file, a socket
listens inside (`licence_sockets`), which this process holds: connections to it are relayed to that
server, from outside. So programs inside choose neither address nor port.

Inside, a server has its real name and port: ``/etc/hosts`` maps the name to an address of the
sandbox's loopback device, and a server given by address has that address there.
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from farm_protocol.loops import new_loop
from farm_protocol.runner import LicenceServer

if TYPE_CHECKING:
    from farm.runner.sandbox.licence_sockets import Orders  # only on Linux

log = logging.getLogger("farm.runner")

_MOST_CONNECTIONS = 64
"""Of a renderer at a time; a licence takes one or two."""
_CONNECT_SECONDS = 20.0
_WARNING_SECONDS = 60.0
"""Between warnings about one server: a scene may try it thousands of times."""
_PIECE = 65536
_FIRST_ADDRESS = int(ipaddress.ip_address("127.0.0.2"))
_HELPER = Path(__file__).with_name("licence_sockets.py")


@dataclass(frozen=True)
class Relay:
    """A socket in the sandbox.

    Attributes:
        address, port: where it listens.
        server: the server behind it.
    """

    address: str
    port: int
    server: LicenceServer


def relays_to(servers: Sequence[LicenceServer]) -> list[Relay]:
    """Return the sockets that must listen in a sandbox for the servers to be found there."""
    relays: dict[tuple[str, int], Relay] = {}
    given: dict[str, str] = {}
    for server in dict.fromkeys(servers):
        host = server.host.lower()
        if host not in given:
            own = _own_address(host)
            given[host] = own or str(ipaddress.ip_address(_FIRST_ADDRESS + len(given)))
        place = given[host], server.port
        relays.setdefault(place, Relay(*place, server))
    return list(relays.values())


def hosts_file(relays: Sequence[Relay]) -> str:
    """Return the ``/etc/hosts`` of a sandbox."""
    names = {relay.server.host.lower(): relay.address for relay in relays}
    lines = ["127.0.0.1 localhost render", "::1 localhost"]
    lines += [f"{address} {name}" for name, address in names.items() if not _own_address(name)]
    return "\n".join([*lines, ""])


def _own_address(host: str) -> str | None:
    """Return the address of a host if it is given by address; None: it is known by name."""
    if host == "localhost":
        return "127.0.0.1"
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    return None


class Licences:
    """Lets the sandboxes of one job reach its licence servers, from a separate thread."""

    def __init__(self, servers: Sequence[LicenceServer], folder: Path) -> None:
        """Begin.

        Parameters:
            folder: a folder of the job that its programs cannot read.
        """
        self._relays = relays_to(servers)
        self.hosts, self.name_service = folder / "hosts", folder / "nsswitch.conf"
        self._orders, self._socket = folder / "licences.json", folder / "licences.sock"
        self.hosts.write_text(hosts_file(self._relays), encoding="utf-8")
        self.name_service.write_text("hosts: files\n", encoding="utf-8")
        addresses = [(relay.address, relay.port) for relay in self._relays]
        orders: Orders = {"socket": str(self._socket), "addresses": addresses}
        self._orders.write_text(json.dumps(orders), encoding="utf-8")
        self._listener = _listen_at(self._socket)
        self._open: list[asyncio.Server] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._next_warning: dict[LicenceServer, float] = {}
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._run, name="licences", daemon=True)
        self._thread.start()

    def prefix(self) -> list[str]:
        """Return the command line to put before bubblewrap's own."""
        return [sys.executable, "-I", "-S", str(_HELPER), str(self._orders), "--"]

    def sandbox_ended(self) -> None:
        """Drop its sockets: nothing more may come from it."""
        asyncio.run_coroutine_threadsafe(self._forget(), self._loop).result()

    def close(self) -> None:
        """Close the sockets, and end the thread that serves them."""
        self.sandbox_ended()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        serving = self._loop.create_task(self._serve())
        self._loop.run_forever()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(serving)
        self._loop.close()

    async def _serve(self) -> None:
        """Take the sockets of each sandbox that starts."""
        while True:
            helper, _ = await self._loop.sock_accept(self._listener)
            with helper:
                try:
                    # It sends at once, and is ours.
                    helper.settimeout(_CONNECT_SECONDS)
                    which, handed, _, _ = socket.recv_fds(helper, _PIECE, len(self._relays))
                    for number, index in zip(handed, json.loads(which), strict=True):
                        await self._open_relay(socket.socket(fileno=number), self._relays[index])
                    helper.sendall(b"1")
                except (OSError, ValueError, LookupError) as error:
                    log.warning("The sandbox reaches no licence server: %s", error)

    async def _open_relay(self, listener: socket.socket, relay: Relay) -> None:
        async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or len(self._calls) >= _MOST_CONNECTIONS:
                writer.close()
                return
            self._calls.add(task)
            try:
                await self._connect(reader, writer, relay.server)
            finally:
                self._calls.discard(task)

        listener.setblocking(False)
        self._open.append(await asyncio.start_server(called, sock=listener, limit=_PIECE))

    async def _forget(self) -> None:
        for server in self._open:
            server.close()
        self._open.clear()
        for call in self._calls:
            call.cancel()

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: LicenceServer
    ) -> None:
        """Relay data in both directions until both sides have ended."""
        with contextlib.closing(writer):
            try:
                opening = asyncio.open_connection(server.host, server.port, limit=_PIECE)
                theirs, ours = await asyncio.wait_for(opening, _CONNECT_SECONDS)
            except (OSError, TimeoutError) as error:
                self._warn(server, error)
                return
            with contextlib.closing(ours), contextlib.suppress(OSError):
                await asyncio.gather(_pass_on(reader, ours), _pass_on(theirs, writer))

    def _warn(self, server: LicenceServer, error: Exception) -> None:
        now = self._loop.time()
        if now >= self._next_warning.get(server, now):
            self._next_warning[server] = now + _WARNING_SECONDS
            log.warning("The licence server %s:%d: %s", server.host, server.port, error)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _listen_at(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # By the folder: the path of such a socket may have no more than 107 bytes.
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
    listener.listen()
    listener.setblocking(False)
    return listener
