"""The log of one claim, sent as it grows: at most about a second late.

The beginning of an overlong log is sent that way; its end (which has the error) follows when the
claim ends, after a line that says how much is missing in between.
"""

import threading
from collections import deque

from farm_protocol.runner import LogChunk

from farm.runner.farm_client import Farm, RefusedError, ReportError

SEND_SECONDS = 1.0
_CHUNK = 200_000
"""Limit of one call, in characters."""
HEAD, TAIL = 4_000_000, 1_000_000
"""Limit of one claim, in characters: a scene that prints in a loop must not fill the farm's disk.
"""


class ClaimLog:
    """Collects lines and sends them from a separate thread."""

    def __init__(self, farm: Farm, claim_id: str) -> None:
        """Start sending the log of a claim."""
        self._farm = farm
        self._claim_id = claim_id
        self._lock = threading.Lock()
        self._unsent: list[str] = []
        self._sent = 0
        self._head = 0
        self._tail: deque[str] = deque()
        self._held = self._missing = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._send, name="log", daemon=True)
        self._thread.start()

    def add(self, line: str) -> None:
        """Append one line."""
        # Lone surrogates of odd file names cannot be encoded as UTF-8.
        text = line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"
        with self._lock:
            if not self._held and self._head + len(text) <= HEAD:
                self._head += len(text)
                self._unsent.append(text)
                return
            self._tail.append(text)
            self._held += len(text)
            while self._held - len(self._tail[0]) >= TAIL:
                self._missing += len(self._tail[0])
                self._held -= len(self._tail.popleft())

    def close(self) -> None:
        """Send the rest and wait until it has arrived or cannot arrive."""
        self._closing.set()
        self._thread.join()

    def _send(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(SEND_SECONDS)
            with self._lock:
                lines, self._unsent = self._unsent, []
            text = "".join(lines if not closing else [*lines, self._end()])
            for begin in range(0, len(text), _CHUNK):
                part = text[begin : begin + _CHUNK]
                try:
                    self._farm.log(self._claim_id, LogChunk(offset=self._sent, text=part))
                except RefusedError:
                    pass  # a log that the farm refuses must not cost the frames
                except ReportError:
                    return  # the claim's other threads will find out themselves
                self._sent += len(part)

    def _end(self) -> str:
        """Return the retained end, and how much is missing before it. Nothing is added any more."""
        held = "".join(self._tail)
        missing = self._missing + max(0, len(held) - TAIL)
        gap = f"\n... {missing} characters of this log are left out here ...\n\n" if missing else ""
        return gap + held[-TAIL:]
