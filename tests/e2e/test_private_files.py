"""What the services write is their user's alone, from its first moment; results are the artist's.

With the umask 000, which takes no right from anybody.
"""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from other_users import OTHER, needs_others, python_of_everybody

from .conftest import ROOT, Studio, a_studio

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")

FILES = {
    *("account.json", "envoy.json", "envoy.lock", "journal.sqlite3", "journal.sqlite3-wal"),
    *("journal.sqlite3-shm", "logs/envoy.log", "logs/farm.log", "farm/farm.json", "farm/farm.lock"),
    *("farm/farm.sqlite", "farm/farm.sqlite-wal", "farm/farm.sqlite-shm"),
}
"""What a walk must have met."""


def walk(root: Path) -> Iterator[tuple[str, int]]:
    """Yield relative path and mode of everything; what goes meanwhile is left out."""
    with suppress(OSError):
        for entry in os.scandir(root):
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    continue
                yield entry.path, status.st_mode
                if entry.is_dir(follow_symlinks=False):
                    yield from walk(Path(entry.path))


class Walker(threading.Thread):
    """Walks a folder over and over, and remembers what others might have opened."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.met: set[str] = set()
        self.open_to_others: dict[str, str] = {}
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            self.look()

    def look(self) -> None:
        for path, mode in walk(self.root):
            relative = Path(path).relative_to(self.root)
            self.met.add(relative.as_posix())
            # As root, a renderer has an account of its own, which must reach its own work folder.
            inside_work = relative.parts[:2] == ("farm", "work") and len(relative.parts) > 2
            if mode & 0o077 and not (inside_work and os.geteuid() == 0):
                self.open_to_others[relative.as_posix()] = stat.filemode(mode)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def open_studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio whose folder an older version has made, open to everybody."""
    data = tmp_path / "data"
    with umask(0):
        for folder in (data, data / "farm", data / "logs", data / "farm" / "logs"):
            folder.mkdir(mode=0o777)
        for file in ("envoy.lock", "account.json", "logs/farm.log", "farm/farm.lock"):
            (data / file).touch(0o666)
        yield from a_studio(tmp_path)


def test_nobody_else_can_open_anything_while_a_job_runs_and_after(open_studio: Studio) -> None:
    studio = open_studio
    walker = Walker(studio.data)
    walker.start()
    try:
        studio.submit("1 3")
        studio.assert_complete(3)
    finally:
        walker.done.set()
        walker.join()
    studio.down()
    walker.look()
    assert walker.open_to_others == {}
    assert stat.S_IMODE(studio.data.stat().st_mode) == 0o700
    assert walker.met >= FILES
    below = {Path(path).parts[:2] for path in walker.met if len(Path(path).parts) > 2}
    assert below >= {("farm", "blobs"), ("farm", "logs"), ("farm", "work")}
    assert any(path.startswith("farm/blobs/") and len(Path(path).name) == 64 for path in walker.met)
    # The artist's results are as the artist's umask says.
    assert stat.S_IMODE(studio.results.stat().st_mode) == 0o777
    assert {stat.S_IMODE(frame.stat().st_mode) for frame in studio.frames()} == {0o666}
    studio.until_nothing_runs()


@pytest.mark.long
@needs_others
def test_nor_can_they_when_the_services_are_an_ordinary_users(tmp_path: Path) -> None:
    """Everything but this test is run by somebody who is not root, with their own renderers."""
    python = python_of_everybody(tmp_path / "python")
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, OTHER, OTHER)
    wanted = test_nobody_else_can_open_anything_while_a_job_runs_and_after.__name__
    done = subprocess.run(
        [
            *(python, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", home / "session"),
            *("-rs", f"{__file__}::{wanted}"),
        ],
        user=OTHER,
        group=OTHER,
        extra_groups=[],
        cwd=ROOT,
        text=True,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        capture_output=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout, done.stdout
