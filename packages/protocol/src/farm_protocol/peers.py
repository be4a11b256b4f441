"""Detects that a connection of httpx has reached another user's program, before anything is sent.

Checking who listens at an address before connecting (`sockets.is_another_users`) is early but not
certain: the program may end after the check, and a stranger who waits for its port may take it
before the connection is made.

Neither httpx nor httpcore is imported: not everything that speaks the protocol has them.
"""

from collections.abc import Mapping
from typing import Any

from farm_protocol.sockets import has_reached_another_user

MESSAGE = "another user's program listens at the farm's address"


def is_strangers(event: str, info: Mapping[str, Any]) -> bool:
    """Return whether a connection has just been made to another user's program.

    The caller must then close the stream, since only it knows whether closing is to be awaited.

    Parameters:
        event, info: what httpcore passes to the extension ``trace``.
    """
    if not event.endswith(".connect_tcp.complete"):
        return False
    stream = info["return_value"]
    try:
        there, here = (stream.get_extra_info(end) for end in ("server_addr", "client_addr"))
    except OSError:
        return True  # The connection is already closed, so its owner is unknown.
    if not there or not here:
        return True
    # A connection to one's own address comes from that very address.
    is_here = there[0] == here[0] or there[0].startswith("127.")
    return is_here and has_reached_another_user(there[:2], here[:2])
