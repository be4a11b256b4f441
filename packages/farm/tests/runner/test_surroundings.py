"""What a program does beside its scene is as on the artist's disk, and never touches the farm's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from farm.confine import probe
from farm_protocol.hashing import hash_file
from farm_protocol.runner import JobLimits, Outcome
from farm_protocol.runner import SandboxMode as Mode
from messages import says

from .somebody import attack_as, ordinary_user
from .test_limits import attack

MODES: list[Mode] = ["off"] if probe() else ["off", "required"]
MIB = 2**20

CHANGES = """
import sys
here = os.path.dirname(os.path.abspath(__file__))
os.chdir(here)
print("there:", sorted(os.listdir()), open("picture.png", "rb").read(4), flush=True)
with open("scene.ma", "r+b") as opened:  # As some programs open what they only read.
    opened.write(b"changed!")
os.chmod("attack.py", 0o777)
os.makedirs("bake/meta")
open("bake/meta/0001.json", "x").write("{}")
os.rename("scene.ma", "bake/scene.ma")
os.rename("bake", "cache")
print("after:", sorted(os.listdir()), open("cache/scene.ma", "rb").read(8), flush=True)
"""
"""A scene's program that bakes beside it."""


def told(log: str, word: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith(f"{word}:")]


def is_as_on_an_artists_disk(log: str) -> None:
    there, again = told(log, "there")
    assert "bake" not in there
    assert "cache" not in there
    assert "scene.ma" in there
    assert again == there
    after = told(log, "after")
    assert after[0] == after[1]
    assert "cache" in after[0]
    assert "b'changed!'" in after[0]


@pytest.mark.parametrize("sandbox", MODES)
def test_a_scene_bakes_beside_itself_and_each_claim_begins_as_submitted(
    tmp_path: Path, sandbox: Mode
) -> None:
    farm = attack(tmp_path, CHANGES, sandbox, None, claims=2)
    assert [each.outcome for each in farm.finishes.values()] == [Outcome.COMPLETED] * 2, farm.log
    is_as_on_an_artists_disk(farm.log)
    for blob in (tmp_path / "store").glob("*/*"):
        assert hash_file(blob)[0] == blob.name
        assert blob.stat().st_nlink == 1


@pytest.mark.parametrize("sandbox", MODES)
def test_the_same_as_an_ordinary_user(sandbox: Mode) -> None:
    with ordinary_user() as user:
        outcome, message, log = attack_as(user, CHANGES, JobLimits(), sandbox, claims=2)
    assert (outcome, message) == (Outcome.COMPLETED, "")
    is_as_on_an_artists_disk(log)


FILLS = """
here = os.path.dirname(os.path.abspath(__file__))
for number in range(300):
    with open(os.path.join(here, "cache%d" % number), "wb") as cache:
        cache.write(os.urandom(2 ** 20))
wait_here()
"""


def over_root(code: str, sandbox: Mode, limits: JobLimits, folder: Path) -> tuple[str, str]:
    farm = attack(folder, code, sandbox, limits)
    (finish,) = farm.finishes.values()
    return finish.outcome, finish.message


def over_user(code: str, sandbox: Mode, limits: JobLimits, _folder: Path) -> tuple[str, str]:
    with ordinary_user() as user:
        return attack_as(user, code, limits, sandbox)[:2]


@pytest.mark.parametrize("attacked", [over_root, over_user])
@pytest.mark.parametrize("sandbox", MODES)
def test_what_is_written_beside_a_scene_counts(
    tmp_path: Path, sandbox: Mode, attacked: Callable[[str, Mode, JobLimits, Path], tuple[str, str]]
) -> None:
    limits = JobLimits(disk_bytes=100 * MIB)
    outcome, message = attacked(FILLS, sandbox, limits, tmp_path)
    assert outcome == Outcome.FAILED
    assert says(message, "renderer-wrote-too-much")


SHUTS = """
here = os.path.dirname(os.path.abspath(__file__))
open(os.path.join(here, "cache"), "w").close()
os.chmod(os.path.dirname(os.path.dirname(here)), 0o500)
"""
"""A scene without a sandbox shuts the folder in which its project's lies."""


def test_a_claim_is_told_although_its_files_cannot_be_brought_anew() -> None:
    with ordinary_user() as user:
        outcome, message, log = attack_as(user, SHUTS, JobLimits(), "off", claims=2)
    # The first claim's frame has arrived, and the second one's end says why there is none.
    assert "Frame 1: " in log
    assert outcome == Outcome.FAILED
    assert says(message, "project-cannot-brought-anew")
