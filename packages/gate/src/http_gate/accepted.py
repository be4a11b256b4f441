"""Connections accepted elsewhere, for a server that does not listen itself."""

from collections.abc import Callable
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def protocols_of(server: uvicorn.Server) -> Callable[[], HttpToolsProtocol]:
    """Return a factory of protocols, one for each connection.

    Parameters:
        server: a started one, without sockets.
    """
    made = cast(type[HttpToolsProtocol], server.config.http_protocol_class)
    return lambda: made(server.config, server.server_state, server.lifespan.state)
