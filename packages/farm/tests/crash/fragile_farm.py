"""Real farm processes that kill themselves at a chosen commit.

Reads a line ``{"data_dir", "database_url", "when", "number"}``, runs such a farm in a process of
its own, writes its process id, and when it has ended its exit code (negative: a signal); then the
next line. A fork of what is imported already starts in a moment.

``before 3`` dies with the third writing transaction complete but not committed, ``after 3`` right
after its commit, before anybody was told; ``never`` is an ordinary farm. Only what stands outside
the farm's core differs from ``farm serve``: it claims to have a renderer, and instead of starting
a runner it leaves the order in the folder ``orders``, where the test's runners look.
"""

import contextlib
import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import farm.main
from farm.catalog.machines import Machines
from farm.catalog.products import Installed, product_rows
from farm.config import Settings
from farm.db.database import Database
from farm.ports import LaunchRequest
from farm.scheduler import loop
from farm.submit import Catalogue
from sqlalchemy import Connection


def die_at(when: str, number: int) -> None:
    """Let this process be killed at its ``number``-th commit."""
    counter = itertools.count(1)
    write = Database.write

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

    Database.write = fragile_write  # type: ignore[method-assign]


class FolderEngine:
    """An engine whose runners are files: a runner lives as long as its order is there."""

    def __init__(self, work_dir: Path, **_: Any) -> None:
        self._orders = work_dir.parent / "orders"
        self._orders.mkdir(exist_ok=True)

    def prepare(self) -> None:
        """Nothing to prepare."""

    def launch(self, request: LaunchRequest) -> str:
        order = {"farm": request.farm_url, "token": request.token}
        part = self._orders / f"{request.runner_id}.part"
        part.write_text(json.dumps(order))
        part.rename(self._orders / f"{request.runner_id}.json")
        return request.runner_id

    def stop(self, reference: str) -> None:
        (self._orders / f"{reference}.json").unlink(missing_ok=True)

    def alive(self, references: Collection[str]) -> set[str]:
        return {each for each in references if (self._orders / f"{each}.json").exists()}

    def close(self) -> None:
        """Nothing prepared."""


def catalogue(_settings: Settings) -> Catalogue:
    machine = Machines("local-cpu", "Test", gpu=False, slots=2, credits_per_hour=Decimal(3600))
    return Catalogue(product_rows([Installed("blender", "4.5.15")]), [machine])


def serve(order: dict[str, Any]) -> None:
    """Be the farm."""
    replaced: dict[str, Callable[..., object]] = {
        "LocalEngine": FolderEngine,
        "find_catalogue": catalogue,
    }
    for name, value in replaced.items():
        setattr(farm.main, name, value)
    # A runner that was noted and never started is missed after this long, instead of 30 s.
    loop._LAUNCH_GRACE = timedelta(seconds=1)
    die_at(order["when"], order["number"])
    farm.main.serve(Settings(data_dir=Path(order["data_dir"]), database_url=order["database_url"]))


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
