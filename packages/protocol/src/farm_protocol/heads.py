"""The heads of answers: how much may come before the last one.

An answer may have informational ones (1xx) in front of it, and httpcore passes over as many as
there are: whoever sends them without pause keeps its caller's processor busy. httpcore's own place
to look is the extension ``trace``, which tells of connections and of heads, but not of these. So
the streams of new connections get a ``read`` that counts while a head is waited for.

Nothing of httpx or httpcore is imported: not everybody who speaks the protocol has them.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

MOST_READS = 64
READ_BYTES = 2048
"""Of one read. A head has 100 kB at most, for h11; what usually comes is there with the first."""

_CONNECTED = (".connect_tcp.complete", ".start_tls.complete")

_reads_left: ContextVar[int | None] = ContextVar("reads left", default=None)
"""Until the head that this request waits for is there; None: it waits for none."""


def look(event: str, info: Mapping[str, Any], error: type[Exception]) -> None:
    """Take part in a request; for httpx's extension ``trace``, of each request of a client.

    Parameters:
        event, info: what httpcore tells.
        error: what the request raises, with a reason, when its answer does not begin.
    """
    if event.endswith(_CONNECTED):
        _count_reads(info["return_value"], error)
    elif event.startswith("http11.receive_response_headers."):
        _reads_left.set(MOST_READS if event.endswith(".started") else None)


def _count_reads(stream: Any, error: type[Exception]) -> None:
    real = stream.read

    # Returns what `real` does, which may be for waiting.
    def read(max_bytes: int, timeout: float | None = None) -> Any:
        left = _reads_left.get()
        if left is None:
            return real(max_bytes, timeout)
        if not left:
            raise error("the answer has too many interim responses")
        _reads_left.set(left - 1)
        # Little: whatever it brings is looked at without pause.
        return real(min(max_bytes, READ_BYTES), timeout)

    stream.read = read
