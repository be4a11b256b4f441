"""Connections that somebody else accepts, for a server that listens nowhere itself."""

from collections.abc import Callable
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def protocols_of(server: uvicorn.Server) -> Callable[[], HttpToolsProtocol]:
    """Return what makes a protocol for each connection.

    Parameters:
        server: has started, without sockets.
    """
    made = cast(type[HttpToolsProtocol], server.config.http_protocol_class)
    return lambda: made(server.config, server.server_state, server.lifespan.state)
