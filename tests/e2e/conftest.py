"""Real processes: Envoy, its embedded farm, runners, Blender; the real client library."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
import OpenImageIO as oiio
import psutil
import pytest
import sqlalchemy as sa
from farm.accounts.users import create
from farm.db.opening import open_existing
from farm.db.tables import ledger_entries
from farm_protocol.users import NewUser
from gridmarkets import EnvoyClient, Job, Project, WatchFile

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "examples" / "sample_project"
EMAIL, PASSWORD = "ann@example.com", "correct horse"
PATIENCE = 120.0
"""Seconds in which nothing new is seen: then a wait has failed."""
MOST_SECONDS = 900
"""Of a test, however much is seen to move in it: this only ends one that hangs."""
SEEN_SECONDS = 0.5

T = TypeVar("T")


def until(look: Callable[[], T], what: str, seen: Callable[[], object] = lambda: None) -> T:
    """Return the first true answer of ``look``: for processes that no event tells us about.

    How long work takes says nothing about it on a machine that is busy. So the wait fails only
    when nothing has moved for `PATIENCE` seconds, and says what was seen last.

    Parameters:
        what: is waited for, in words.
        seen: what shows that work goes on, by being another than before.
    """
    last, moved = seen(), time.monotonic()
    asked = moved
    while not (found := look()):
        now = time.monotonic()
        if now - asked >= SEEN_SECONDS:
            asked = now
            if (news := seen()) != last:
                last, moved = news, now
            elif now - moved >= PATIENCE:
                shown = json.dumps(last, indent=1, default=str)
                raise AssertionError(f"{what}: nothing moved for {PATIENCE:.0f} s. Seen: {shown}")
        time.sleep(0.05)
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here the time that a busy machine needs for renders."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(MOST_SECONDS))


def _strange_folder(folder: Path) -> Path:
    """Return a folder like one that an artist got from somebody: nothing in it may be run.

    Whatever is imported from there ends its program, so that no test with a studio passes.
    """
    strange = folder / "downloaded"
    for name in ("farm", "envoy", "json", "alembic", "httpx", "openjd", "psutil"):
        (strange / name).mkdir(parents=True, exist_ok=True)
        (strange / name / "__init__.py").write_text("raise SystemExit('A stranger was run.')")
    return strange


class Studio:
    """One artist's machine: a folder, an Envoy and what it starts."""

    def __init__(self, folder: Path, *options: str, prefix: Sequence[str] = ()) -> None:
        self.folder = folder
        self.prefix = prefix
        self.options = options
        self.data = folder / "data"
        self.results = folder / "my_results"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self.envoy: subprocess.Popen[bytes] | None = None

    # -- processes ---------------------------------------------------------------------------

    def up(self) -> None:
        """Start Envoy, after the end of one that was stopped; wait until its farm answers too."""
        if self.envoy is not None:
            self.envoy.wait()
        envoy = str(Path(sys.executable).with_name("envoy"))
        command = [*self.prefix, envoy, "up", "--port", str(self.port)]
        with (self.folder / "envoy.log").open("ab") as log:
            self.envoy = subprocess.Popen(
                [*command, "--data-dir", str(self.data), *self.options],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=_strange_folder(self.folder),
            )
        self.until(self._answers, "Envoy and its farm answer")

    def _answers(self) -> bool:
        assert self.envoy is not None
        assert self.envoy.poll() is None, (self.folder / "envoy.log").read_text()
        with suppress(httpx.TransportError, FileNotFoundError):
            return bool(self.get("/envoy/health")["farm_url"])
        return False

    def down(self) -> None:
        """Stop Envoy as Ctrl-C does; everything must end with it."""
        if self.envoy is not None and self.envoy.poll() is None:
            self.envoy.send_signal(signal.SIGINT)
            # One that does not get to its end gives up by itself, and says so.
            assert self.envoy.wait() == 0

    def kill_envoy(self) -> None:
        """kill -9."""
        assert self.envoy is not None
        self.envoy.kill()
        self.envoy.wait()

    def farm_process(self) -> psutil.Process:
        """Return the embedded farm's process."""
        who = json.loads((self.data / "farm" / "farm.json").read_text())
        return psutil.Process(who["pid"])

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return living processes of this studio whose command line holds all words."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and str(self.folder) in line and all(word in line for word in words):
                    found.append(process)
        return found

    def kill(self, *words: str) -> None:
        """kill -9 of the first process with these words, once there is one."""
        process = self.until(lambda: self.processes(*words), f"a process with {words}")[0]
        os.kill(process.pid, signal.SIGKILL)

    # -- the artist --------------------------------------------------------------------------

    def add_user(self, email: str = EMAIL, credits: str = "100") -> str:
        """Do what ``farm users add`` does on the embedded farm; return the access key."""
        database = open_existing(self.data / "farm", None)
        new = NewUser(email=email, password=PASSWORD, credits=Decimal(credits))
        created = create(database, new)
        database.close()
        return created.access_key

    def client(self, email: str = EMAIL, password: str = PASSWORD) -> EnvoyClient:
        """Return a signed-in client."""
        client = EnvoyClient(url=self.url)
        client.authenticate(email, password)
        return client

    def project(self, scene: Path | None = None, name: str = "sample_project") -> Project:
        """Return the sample project with all its files, or a project of one scene."""
        if scene is not None:
            project = Project(str(scene.parent), name=name, submission_name="s")
            project.add_files(str(scene.parent), project.RemoteRoot, [scene.name])
        else:
            project = Project(str(SAMPLE), name=name, submission_name="s")
            project.add_files(str(SAMPLE), project.RemoteRoot)
        pattern = f"{project.remote_output_folder}/.+"
        project.add_watch_files(WatchFile(pattern, str(self.results)))
        return project

    def job(self, scene: str = "sample_project/scene.blend", **changes: Any) -> Job:
        """Return a render job of six frames."""
        values: dict[str, Any] = {
            "name": "beauty",
            "app": "blender",
            "app_version": "",
            "operation": "render",
            "path": scene,
            "instances": 1,
            "machine_type": "",
            "frames": "1 6",
            "output_prefix": "frame_",
        }
        return Job(**(values | changes))

    def submit(self, frames: str = "1 6") -> None:
        """Submit the sample project."""
        project = self.project()
        project.add_jobs(self.job(frames=frames))
        self.client().submit_project(project)

    # -- what can be seen --------------------------------------------------------------------

    def get(self, path: str) -> Any:
        """Return what Envoy answers."""
        headers = {"Authorization": f"Bearer {self.token()}"} if "--strict" in self.options else {}
        answer = httpx.get(self.url + path, headers=headers, timeout=60, trust_env=False)
        return answer.raise_for_status().json()

    def token(self) -> str:
        """Return the token of a strict Envoy."""
        return (self.data / "token").read_text().strip()

    def activity(self) -> dict[str, Any]:
        """Return the newest submission as Envoy tells it; {} while Envoy is away."""
        with suppress(httpx.TransportError):
            submissions = self.get("/envoy/activity")["submissions"]
            return dict(submissions[0]) if submissions else {}
        return {}

    def job_now(self) -> dict[str, Any]:
        """Return the newest submission's first job; {} before it is on the farm."""
        jobs = self.activity().get("jobs", [])
        return dict(jobs[0]) if jobs else {}

    def seen(self) -> dict[str, Any]:
        """Return what shows that work goes on here, for `until`."""
        # A strict Envoy writes its token when it starts.
        with suppress(httpx.HTTPError, FileNotFoundError):
            told = self.get("/envoy/activity")
            return {"activity": told, "logs": self._logs(), "files": len(self.frames())}
        return {"activity": "Envoy does not answer", "logs": self._logs()}

    def _logs(self) -> dict[str, list[str]]:
        """Return the last lines of what Envoy, its farm and the runners have written."""
        files = [self.folder / "envoy.log", *self.data.glob("logs/*"), *self.data.glob("*/logs/*")]
        lines = {}
        for file in files:
            with suppress(OSError):
                text = file.read_text(encoding="utf-8", errors="replace")
                lines[str(file.relative_to(self.folder))] = text.splitlines()[-3:]
        return lines

    def until(self, look: Callable[[], T], what: str) -> T:
        """Return the first true answer of ``look``, while something moves here; see `until`."""
        return until(look, what, self.seen)

    def until_nothing_runs(self) -> None:
        """Wait until the last process has ended."""
        until(
            lambda: not self.processes(),
            "nothing is left running",
            lambda: [each.pid for each in self.processes()],
        )

    def frames(self) -> list[Path]:
        """Return the frames that have arrived, without temporary files."""
        if not self.results.is_dir():
            return []
        return sorted(each for each in self.results.iterdir() if not each.name.startswith("."))

    def wait_for_frames(self, count: int) -> None:
        """Wait until so many frames have arrived."""
        self.until(lambda: len(self.frames()) >= count, f"{count} frames in the results folder")

    def wait_for_job(self, state: str) -> dict[str, Any]:
        """Wait until the job is in this state, and return it."""
        return self.until(
            lambda: job if (job := self.job_now()).get("state") == state else {},
            f"the job is {state}",
        )

    def assert_complete(self, count: int) -> None:
        """Every frame is there once, decodes, and was charged once."""
        self.wait_for_job("completed")
        self.until(lambda: self.activity()["downloads"]["files_done"] >= count, "all is downloaded")
        assert [path.name for path in self.frames()] == [
            f"frame_{number:04d}.png" for number in range(1, count + 1)
        ]
        for path in self.frames():
            image = oiio.ImageBuf(str(path))
            assert image.read(force=True), image.geterror()
            assert not oiio.ImageBufAlgo.isConstantColor(image, threshold=0.01)
        assert not [each for each in self.results.iterdir() if each.name.startswith(".")]
        assert self.job_now()["frames_done"] == count
        charged = self.charges()
        assert len(charged) == count
        assert set(charged.values()) == {1}
        info = self.client().get_user_info()
        assert info["credits_consumed"] == pytest.approx(self.job_now()["credits"])
        assert info["credits_available"] == pytest.approx(100 - info["credits_consumed"])

    def charges(self) -> Counter[str]:
        """Return how often each frame stands in the ledger."""
        engine = sa.create_engine(f"sqlite:///{self.data / 'farm' / 'farm.sqlite'}")
        with engine.connect() as connection:
            rows = connection.execute(
                sa.select(ledger_entries.c.reference).where(
                    ledger_entries.c.reference.like("frame:%")
                )
            ).scalars()
            return Counter(row.rpartition(":")[2] for row in rows)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A fresh studio with Envoy up and one user, taken down and checked for leftovers."""
    yield from a_studio(tmp_path)


@pytest.fixture(scope="session")
def idle_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """Yield one for several tests, which leave no submission and nothing running there."""
    yield from a_studio(tmp_path_factory.mktemp("idle"))


def a_studio(folder: Path, *options: str, prefix: Sequence[str] = ()) -> Iterator[Studio]:
    """Yield a studio as the fixture `studio` does; for fixtures of a wider scope.

    Parameters:
        options: more of them, for ``envoy up``.
        prefix: a command that executes the one that follows it.
    """
    if shutil.which("blender") is None and "FARM_BLENDER" not in os.environ:
        pytest.skip("no blender on PATH: real renders cannot be tested")
    studio = Studio(folder, *options, prefix=prefix)
    studio.up()
    studio.add_user()
    try:
        yield studio
        studio.down()
        studio.until_nothing_runs()
    finally:
        for process in studio.processes():
            with suppress(psutil.Error):
                process.kill()
