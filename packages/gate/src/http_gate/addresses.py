"""Under which address or network the connections of a sender are counted."""

import ipaddress
from functools import lru_cache


def network_of(host: str) -> str:
    """Return the key under which a sender is counted: an IPv4 address, or an IPv6 /64 network.

    Whoever has one IPv6 address has all of that network. Anything else is returned unchanged.
    """
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return host if address is None else str(address)


@lru_cache(maxsize=4096)
def counted_as(host: str, trusted: frozenset[str]) -> str:
    """Return the key under which the connections of an address are limited.

    Parameters:
        host: the address; "" if unknown.
        trusted: addresses of reverse proxies, which are not limited.

    Returns:
        As `network_of`; "" for addresses without a limit: trusted ones, loopback, and unknown ones.
    """
    address = _address(host)
    if address is None or address.is_loopback or host in trusted or str(address) in trusted:
        return ""
    return network_of(host)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
