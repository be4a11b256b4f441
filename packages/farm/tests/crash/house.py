"""A farm that dies at a chosen commit and is started again, its runners, and its users."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from farm.accounts.users import create
from farm.db.opening import open_database
from farm_protocol.hashing import new_hasher
from farm_protocol.users import NewUser, Role

from tools.temporary_postgres import TemporaryPostgres

ROOT = Path(__file__).parents[4]
FRAGILE_FARM = Path(__file__).parent / "fragile_farm.py"
CREDITS = 1000
"""Of a user: a second of rendering costs one, and a busy machine takes its time."""


class Farms:
    """Starts `fragile_farm.py` farms, one after another."""

    def __init__(self) -> None:
        environment = {key: text for key, text in os.environ.items() if key[:5] != "FARM_"}
        environment["PYTHONPATH"] = str(ROOT)
        self._maker = subprocess.Popen(
            [sys.executable, str(FRAGILE_FARM)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, **order: Any) -> int:
        """Start a farm and return its process id."""
        assert self._maker.stdin is not None
        print(json.dumps(order), file=self._maker.stdin, flush=True)
        return self._number()

    def wait(self) -> int:
        """Return the exit code of the farm that was started last."""
        return self._number()

    def _number(self) -> int:
        assert self._maker.stdout is not None
        return int(self._maker.stdout.readline())

    def close(self) -> None:
        """The last farm has ended."""
        self._maker.communicate()


class House:
    """A farm that is started again whenever it dies, its runners, and a reader of its feed."""

    def __init__(
        self,
        farms: Farms,
        folder: Path,
        url: str | None,
        when: str,
        number: int,
        hand: "Callable[[House, Path], Runner] | None" = None,
        **order: Any,
    ) -> None:
        """Prepare it.

        Parameters:
            when, number: the commit at which it dies; see `fragile_farm.py`.
            hand: plays the runners.
            order: further words for `fragile_farm.py`.
        """
        self.folder = folder
        self.deaths = 0
        self.mishap = ""
        self._farms = farms
        self._order = {"data_dir": str(folder), "database_url": url, "number": number, **order}
        self._when = when
        self._enough = threading.Event()
        self._ending = threading.Event()
        self._running = threading.Event()
        self._pid = 0
        self._keeper = threading.Thread(target=self._keep)
        self._foreman = threading.Thread(target=self._hire)
        self._hand = hand or Runner
        self._crew: list[Runner] = []

    def __enter__(self) -> "House":
        self._keeper.start()
        self._foreman.start()
        return self

    @property
    def is_ending(self) -> bool:
        """Whether the test has seen all that it wanted to."""
        return self._enough.is_set()

    def __exit__(self, *_: object) -> None:
        # Runners first: what they still have to say may be the commit at which the farm dies.
        self._enough.set()
        self._foreman.join()
        self._ending.set()
        told = 0
        while self._keeper.is_alive():
            # Each farm once: a second signal would not let it end in order.
            if self._running.is_set() and self._pid != told:
                told = self._pid
                os.kill(told, signal.SIGTERM)
            self._keeper.join(0.2)

    def _keep(self) -> None:
        while True:
            self._pid = self._farms.start(**self._order, when=self._when)
            self._running.set()
            code = self._farms.wait()
            self._running.clear()
            if code != -signal.SIGKILL:
                self.mishap = "" if self._ending.is_set() and code == 0 else f"ended: {code}"
                return
            self.deaths += 1
            self._when = "never"

    def _hire(self) -> None:
        orders = self.folder / "orders"
        hired: set[Path] = set()
        while not self._enough.wait(0.02):
            for order in set(orders.glob("*.json")) - hired:
                hired.add(order)
                self._crew.append(self._hand(self, order))
                self._crew[-1].start()
        for runner in self._crew:
            runner.join()

    def call(
        self, key: str, method: str, path: str, once: bool = False, **values: Any
    ) -> httpx.Response:
        """Ask the farm; while it is away, ask again, as Envoy and runners do.

        Parameters:
            once: a call that may have arrived is not repeated; then httpx.TransportError.
        """
        while True:
            try:
                address = json.loads((self.folder / "farm.json").read_text())["url"]
                headers = {"Authorization": f"Bearer {key}"}
                return httpx.request(
                    method, address + path, headers=headers, timeout=60, trust_env=False, **values
                )
            except (httpx.TransportError, OSError, ValueError):
                if once:
                    raise
            assert not self.mishap, self.mishap
            time.sleep(0.02)

    def send(self, key: str, path: str, data: bytes, where: str) -> dict[str, Any]:
        """Send a blob and return what names it; {} when the farm refuses it."""
        hasher = new_hasher()
        hasher.update(data)
        entry = {"path": path, "hash": hasher.hexdigest(), "size": len(data)}
        answer = self.call(key, "PUT", f"{where}/{entry['hash']}", content=data)
        return entry if answer.is_success else {}


class Runner(threading.Thread):
    """Speaks `farm_protocol.runner`, renders nothing, and outlives the farm like a real one."""

    def __init__(self, house: House, order: Path) -> None:
        super().__init__()
        self.house = house
        self.order = order
        self.token: str = json.loads(order.read_text())["token"]

    def run(self) -> None:
        while self._work():
            pass
        self.order.unlink(missing_ok=True)

    def _work(self) -> bool:
        claim = self.post("claims", {})
        if claim.status_code == 401 or claim.json()["claim_id"] is None:
            return False
        address = f"claims/{claim.json()['claim_id']}"
        steps: list[tuple[str, dict[str, object]]] = [(f"{address}/heartbeat", {"frame": None})]
        steps += [(f"{address}/log", {"offset": 0, "text": "Rendering.\n"})]
        for path, body in steps:
            if self.post(path, body).status_code in (401, 410):
                return True
        for frame in claim.json()["frames"]:
            if not self.deliver(address, frame, "frame"):
                return True
        self.post(f"{address}/finish", {"outcome": "completed"})
        return True

    def deliver(self, address: str, frame: int, name: str) -> bool:
        """Hand a frame in; return whether the claim is still this runner's."""
        path = f"demo/render_results/out/{name}_{frame:04d}.png"
        file = self.house.send(self.token, path, b"frame %d" % frame, "/v1/runner/blobs")
        if not file:
            return False  # Its token is worth nothing any more; so the next claim will say.
        report = {"frame": frame, "seconds": 0.001, "outputs": [file]}
        answer = self.post(f"{address}/frames", report)
        if answer.status_code in (401, 410):
            return False
        answer.raise_for_status()
        return True

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self.house.call(self.token, "POST", f"/v1/runner/{path}", json=body)


class Reader:
    """Follows the feed as Envoy does, cursor in hand."""

    def __init__(self, house: House, key: str) -> None:
        self._house = house
        self._key = key
        self._cursor = 0
        self.outputs: Counter[str] = Counter()
        self.states: dict[str, str] = {}

    def follow(self, enough: Callable[[], bool]) -> None:
        """Read on until it is enough."""
        while not enough():
            query = {"after": self._cursor, "wait": 1}
            found = self._house.call(self._key, "GET", "/v1/changes", params=query).json()
            self._cursor = found["cursor"]
            self.outputs.update(output["path"] for output in found["outputs"])
            self.states.update((job["id"], job["state"]) for job in found["jobs"])


def add_user(
    folder: Path,
    url: str | None,
    name: str = "ann",
    credits: str = str(CREDITS),
    role: Role = Role.ARTIST,
) -> str:
    """Do what ``farm users add`` does, beside the running farm; return the access key."""
    database = open_database(folder, url)
    new = NewUser(email=f"{name}@example.com", credits=Decimal(credits), role=role)
    created = create(database, new)
    database.close()
    return created.access_key


def killed_at_every_commit(
    run: Callable[[Path, str | None, int], int], folder: Path, server: TemporaryPostgres | None
) -> int:
    """Let ``run`` kill a new farm at its first commit, another at its second, and so on.

    Parameters:
        run: is given a folder, a database's address (None: SQLite) and the number of a commit;
            returns how often the farm died.

    Returns the number of commits at which it died.
    """
    for number in itertools.count(1):
        with server.database() if server else contextlib.nullcontext("") as name:
            url = server.url(name) if server else None
            if run(folder / str(number), url, number) == 0:
                return number - 1  # There is no such commit.
    raise AssertionError("counted to the end")
