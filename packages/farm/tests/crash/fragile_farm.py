"""Real farm processes that kill themselves at a chosen commit.

Reads a line ``{"data_dir", "database_url", "when", "number", "settings"?, "silence"?}``, runs such
a farm in a process of
its own, writes its process id, and when it has ended its exit code (negative: a signal); then the
next line. A fork of what is imported already starts in a moment.

``before 3`` dies with the third writing transaction complete but not committed, ``after 3`` right
after its commit, before anybody was told; ``never`` is an ordinary farm. It is the farm of
`tools.bare_farm`, whose runners the test plays.
"""

import contextlib
import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from farm.db import claims
from farm.db.engine.database import Database
from farm.scheduler import loop, setbacks
from sqlalchemy import Connection

from tools import bare_farm


def die_at(when: str, number: int) -> None:
    """Let this process be killed at its ``number``-th commit."""
    counter = itertools.count(1)
    write = Database._writer  # What all writers share.

    @contextlib.contextmanager
    def fragile_write(self: Database) -> Iterator[Connection]:
        mine = 0
        with write(self) as connection:
            yield connection
            mine = next(counter)
            if (when, number) == ("before", mine):
                os.kill(os.getpid(), signal.SIGKILL)
        if (when, number) == ("after", mine):
            os.kill(os.getpid(), signal.SIGKILL)

    Database._writer = fragile_write  # type: ignore[method-assign]


def serve(order: dict[str, Any]) -> None:
    """Be the farm."""
    # A runner that was noted and never started is missed after this long, instead of 30 s.
    loop._LAUNCH_GRACE = timedelta(seconds=1)
    if "silence" in order:
        # So soon a silent runner has lost its claim, and soon after that its place.
        claims.CLAIM_TIMEOUT_SECONDS = order["silence"]  # type: ignore[attr-defined]
        loop._STUCK_GRACE = timedelta(seconds=order["silence"])
        loop.BUSY_SECONDS = 0.2
        # So soon another machine may try what a bad one was refused.
        setbacks.REFUSED_PAUSE_SECONDS = 0.1  # type: ignore[attr-defined]
    die_at(order["when"], order["number"])
    more = order.get("settings", {})
    bare_farm.serve(Path(order["data_dir"]), order["database_url"], slots=2, **more)


def main() -> None:
    """Start one farm for each line."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                serve(json.loads(line))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


main()
