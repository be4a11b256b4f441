"""Addresses of farms: which farm one means, and where a file may be sent that a farm asks for."""

import ipaddress
import socket
from contextlib import suppress

import httpx

from envoy.farm_answers import faulty


def origin(url: str) -> str:
    """Return scheme, host and port of an address, each as it is compared."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return url  # Every call will say so.
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.host}:{port}"


def ticket_url(farm: str, ticket: str) -> tuple[httpx.URL, bool]:
    """Return where a ticket leads, and whether that is the farm itself.

    A presigned address of an object store must not see our access key. And it must not be a
    program on this machine, which would take what comes from Envoy for its user's wish.

    Raises:
        FarmAnswerError: it leads nowhere that a file may be sent to.
    """
    own = httpx.URL(farm)
    try:
        url = own.join(ticket)
    except httpx.InvalidURL as error:
        raise faulty("The farm gives an invalid address for a file.", may_pass=False) from error
    if (url.scheme, url.netloc) == (own.scheme, own.netloc):
        return url, True
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise faulty("The farm gives an invalid address for a file.", may_pass=False)
    if _is_this_machine(url.host) and not _is_this_machine(own.host):
        raise faulty("The farm gives an address on this machine for a file.", may_pass=False)
    return url, False


def _is_this_machine(host: str) -> bool:
    name = host.lower().rstrip(".").strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    with suppress(OSError):
        # As the system reads numbers: '127.1' and '2130706433' are addresses, too.
        name = socket.inet_ntoa(socket.inet_aton(name))
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified or address.is_link_local
