"""Whose program a connection of httpx has reached, before anything is sent over it.

To look who listens at an address before one connects (`sockets.is_another_users`) tells early that
nothing is to be sent there, but not surely: the program may end after the look, and a stranger who
waits for its port has that before the connection is made.

Nothing of httpx or httpcore is imported: not everybody who speaks the protocol has them.
"""

from collections.abc import Mapping
from typing import Any

from farm_protocol.sockets import has_reached_another_user

MESSAGE = "another user's program listens at the farm's address"


def is_strangers(event: str, info: Mapping[str, Any]) -> bool:
    """Return whether a connection has just been made, and to a program of somebody else's.

    The caller, who alone knows whether that is to be waited for, closes the stream then.

    Parameters:
        event, info: what httpcore tells the extension ``trace``.
    """
    if not event.endswith(".connect_tcp.complete"):
        return False
    stream = info["return_value"]
    try:
        there, here = (stream.get_extra_info(end) for end in ("server_addr", "client_addr"))
    except OSError:
        return True  # It has broken off, and nobody knows any more.
    if not there or not here:
        return True
    # To one's own address one comes from that very address.
    is_here = there[0] == here[0] or there[0].startswith("127.")
    return is_here and has_reached_another_user(there[:2], here[:2])
