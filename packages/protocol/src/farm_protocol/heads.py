"""The heads of answers: limits what may precede the final one.

Informational answers (1xx) may precede an answer, and httpcore skips any number of them: a server
that keeps sending them keeps its caller's processor busy. httpcore's own hook, the extension
``trace``, reports connections and heads, but not these. So the streams of new connections get a
``read`` that counts while a head is awaited.

Neither httpx nor httpcore is imported: not everything that speaks the protocol has them.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

MOST_READS = 64
READ_BYTES = 2048
"""Per read. h11 allows heads of 100 kB; usually all of one comes with the first read."""

_CONNECTED = (".connect_tcp.complete", ".start_tls.complete")

_reads_left: ContextVar[int | None] = ContextVar("reads left", default=None)
"""Reads left for the head that this request waits for; None: it waits for none."""


def look(event: str, info: Mapping[str, Any], error: type[Exception]) -> None:
    """Observe a request; for httpx's extension ``trace``, of each request of a client.

    Parameters:
        event, info: what httpcore passes.
        error: raised, with a reason, when the answer does not begin.
    """
    if event.endswith(_CONNECTED):
        _count_reads(info["return_value"], error)
    elif event.startswith("http11.receive_response_headers."):
        _reads_left.set(MOST_READS if event.endswith(".started") else None)


def _count_reads(stream: Any, error: type[Exception]) -> None:
    real = stream.read

    # Returns what `real` does, which may be an awaitable.
    def read(max_bytes: int, timeout: float | None = None) -> Any:
        left = _reads_left.get()
        if left is None:
            return real(max_bytes, timeout)
        if not left:
            raise error("the answer has too many interim responses")
        _reads_left.set(left - 1)
        # Little, because whatever it brings is processed without pause.
        return real(min(max_bytes, READ_BYTES), timeout)

    stream.read = read
