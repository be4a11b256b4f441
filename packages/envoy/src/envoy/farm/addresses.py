"""Addresses of farms: which farm an address means, and where a farm may have files sent.

A farm may have files sent to an object store elsewhere. It must not direct Envoy to programs that
only this machine or its network can reach: they may trust whatever comes from here. A name tells
nothing about that, so the connected address is checked before anything is sent.
"""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import IntEnum
from typing import Any
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import httpx
from farm_protocol import peers
from httpcore import AsyncNetworkStream

from envoy.farm.answers import faulty

Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""A hook that httpx calls for each step of a request, as its extension ``trace``."""

_EMBEDDING = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (("::/96", 0), ("64:ff9b::/96", 0), ("2002::/16", 80))
)
"""IPv6 networks that embed an IPv4 address, and how many bits from the end it is."""


class Reach(IntEnum):
    """Who can reach an address: the more, the higher."""

    THIS_MACHINE = 0
    NETWORK = 1
    EVERYBODY = 2


def origin(url: str) -> str:
    """Return scheme, host and port of an address, normalised for comparison."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return url  # Every call will report it.
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.host}:{port}"


def ticket_url(farm: str, ticket: str, reach: Reach) -> tuple[httpx.URL, bool]:
    """Return a ticket's address, and whether it is the farm itself.

    A presigned address of an object store must not get our access key.

    Parameters:
        reach: who can reach the farm's own address.

    Raises:
        FarmAnswerError: files must not be sent there.
    """
    own = httpx.URL(farm)
    try:
        address = httpx.URL(ticket)
        url = own.join(address)
    except httpx.InvalidURL as error:
        raise faulty("The farm gave an invalid address for a file.", may_pass=False) from error
    if address.userinfo:
        # It would be sent as a password, to the farm's own host in place of the access key.
        raise faulty("The farm gave an invalid address for a file.", may_pass=False)
    if (url.scheme, url.netloc) == (own.scheme, own.netloc):
        return url, True
    if url.scheme not in ("http", "https") or not url.host:
        raise faulty("The farm gave an invalid address for a file.", may_pass=False)
    if reach_of_host(url.host) < reach:
        raise faulty(_closer(url.host, reach_of_host(url.host)), may_pass=False)
    return url, False


def only_as_far(url: httpx.URL, reach: Reach, *, own: bool = False) -> Trace:
    """Return a hook that ends a forbidden request once it is connected, before it sends anything.

    It is forbidden if fewer can reach the address than the farm's own. Connections to a proxy are
    not checked: where it leads is up to its owner.

    Parameters:
        own: the address is the farm's, whose name may lead elsewhere by now.
    """
    connecting_to = ""

    async def look(event: str, info: Mapping[str, Any]) -> None:
        nonlocal connecting_to
        if event == "connection.connect_tcp.started":
            connecting_to = info["host"]
        elif event == "connection.connect_tcp.complete" and connecting_to == url.raw_host.decode():
            stream: AsyncNetworkStream = info["return_value"]
            try:
                found = reach_of_peer(stream)
            except httpx.ReadError:
                await stream.aclose()
                raise
            if found < reach:
                await stream.aclose()
                # A name may lead elsewhere tomorrow: networks with a sign-in page do that.
                raise faulty((_message_about_move if own else _closer)(url.host, found))

    return look


async def only_to_own_user(request: httpx.Request) -> None:
    """End a request, before it sends anything, if it has reached another user's program; a hook of
    httpx.
    """
    others = request.extensions.get("trace")

    async def look(event: str, info: Mapping[str, Any]) -> None:
        if others is not None:
            await others(event, info)
        if peers.is_strangers(event, info):
            await info["return_value"].aclose()
            raise httpx.ConnectError(peers.MESSAGE)

    request.extensions["trace"] = look


def reach_of_farm(url: str, response: httpx.Response) -> Reach:
    """Return who can reach a farm that has just answered."""
    if _has_proxy(url):
        return reach_of_host(httpx.URL(url).host)
    return reach_of_peer(response.extensions["network_stream"])


def reach_of_peer(stream: AsyncNetworkStream) -> Reach:
    """Return who can reach the address that a stream is connected to.

    Raises:
        httpx.ReadError: it is closed already, so its peer is unknown.
    """
    ends = [stream.get_extra_info(end) for end in ("server_addr", "client_addr")]
    if not all(ends):
        raise httpx.ReadError("the connection broke off")
    there, here = (_address(end[0]) for end in ends)
    # A connection to one's own address comes from that very address.
    return Reach.THIS_MACHINE if there == here else _reach(there)


def reach_of_host(host: str) -> Reach:
    """Return who can reach a host, if it is an address; a name counts as public."""
    name = host.lower().rstrip(".").strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return Reach.THIS_MACHINE
    with suppress(OSError):
        # As the system reads numbers: '127.1' and '2130706433' are addresses, too.
        name = socket.inet_ntoa(socket.inet_aton(name))
    try:
        return _reach(_address(name))
    except ValueError:
        return Reach.EVERYBODY


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address, or the IPv4 address that it embeds."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    for network, shift in _EMBEDDING:
        # '::' and '::1' do not embed one.
        if address in network and int(address) > 1:
            return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def _reach(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Reach:
    if address.is_loopback or address.is_unspecified or address.is_link_local:
        return Reach.THIS_MACHINE
    return Reach.EVERYBODY if address.is_global else Reach.NETWORK


def _has_proxy(url: str) -> bool:
    """Return whether the environment requires a proxy for an address."""
    parts, proxies = httpx.URL(url), getproxies()
    return bool({parts.scheme, "all"} & proxies.keys()) and not proxy_bypass(parts.host)


def _closer(host: str, found: Reach) -> str:
    return (
        "The farm is on another machine, but it gave an address"
        f" {_where(found)} for a file ({host})."
    )


def _message_about_move(host: str, found: Reach) -> str:
    return (
        f"The farm was on another machine, and its name {host} now leads to an address"
        f" {_where(found)}. Nothing is sent there. If the farm has moved, restart Envoy."
    )


def _where(found: Reach) -> str:
    return "on this machine" if found is Reach.THIS_MACHINE else "in this machine's own network"


def files_of(project: str) -> str:
    """Return the path at which a farm lists a project's files."""
    return f"/v1/projects/{quote(project, safe='')}/files"
