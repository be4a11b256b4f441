"""Envoy ends when it is told to, even if its threads or its event loop are stuck.

A separate thread handles Ctrl-C and SIGTERM, since a stuck loop cannot. From then on there is a
deadline. A clean shutdown takes seconds; what is not done after `MOST_SECONDS` is left as after a
crash, for which the journal is made.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

log = logging.getLogger(__name__)

MOST_SECONDS = 20.0
"""From the signal to the end. `envoy stop` waits for longer."""
LAST_SECONDS = 2.0
"""How long threads may continue when everything is put away: one may wait for a broken disk."""


class Ending:
    """The deadline, and who starts it.

    Parameters:
        stop: the event that the loop awaits; set by `begin`.
    """

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._begun = threading.Event()
        self._clean = threading.Event()
        threading.Thread(target=self._watch, name="ending", daemon=True).start()

    def begin(self) -> None:
        """Tell Envoy to end. From any thread, any number of times."""
        self._begun.set()
        with suppress(RuntimeError):  # The loop is closed: it has ended already.
            self._loop.call_soon_threadsafe(self._stop.set)

    def over(self) -> None:
        """Report that everything is put away, and only threads may be left."""
        self._clean.set()
        self._begun.set()

    def _watch(self) -> None:
        self._begun.wait()
        if not self._clean.wait(MOST_SECONDS):
            log.error(
                "Envoy did not shut down within %.0f s. It ends now, as after a crash.",
                MOST_SECONDS,
            )
            _exit(1)
        # The interpreter would wait for all threads, for ever. When none is left, this one ends
        # with the process.
        threading.Event().wait(LAST_SECONDS)
        _exit(0)


def on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` for Ctrl-C and SIGTERM, for as long as the process lives."""
    if sys.platform == "win32":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop())
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    # The interpreter's own handler writes to it, in C; Python's handlers run in the main thread.
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def listen() -> None:
        with reader, writer:
            while caught := reader.recv(1):
                if caught[0] in (signal.SIGINT, signal.SIGTERM):
                    stop()

    threading.Thread(target=listen, name="signals", daemon=True).start()


def _exit(status: int) -> None:
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
