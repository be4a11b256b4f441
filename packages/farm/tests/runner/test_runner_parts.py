"""The runner's parts that need no renderer."""

import importlib
import os
import shutil
import stat
import struct
import subprocess
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Event
from types import ModuleType

import farm.products
import OpenImageIO as oiio
import pytest
from farm.products import BUILT_IN
from farm.runner.claim.session import Ended, frame_range
from farm.runner.claim.verdict import judge
from farm.runner.failure import Failure
from farm.runner.farm_client import Farm
from farm.runner.results.image_check import examine
from farm.runner.results.outputs import OutputError, take
from farm.runner.stage import InterruptedStageError, StageError, stage
from farm_protocol.files import FileEntry, KnownFile
from farm_protocol.hashing import hash_file
from farm_protocol.paths import check_segment
from farm_protocol.runner import DiskSource, Outcome, RunnerCommand
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying, says

SYMPTOMS = BUILT_IN.template("blender_render").symptoms
EXTENSIONS = ["png", "jpg", "exr", "tif", "bmp", "tga", "webp", "hdr", "dpx", "cin", "rgb"]
SPELLINGS = ["jpeg", "JPG", "Png", "DPX", "tiff", "sgi", "iff"]
"""Names that scenes choose themselves."""


def write_image(path: Path, width: int = 64, height: int = 36) -> None:
    image = oiio.ImageBuf(oiio.ImageSpec(width, height, 3, "uint8"))
    oiio.ImageBufAlgo.noise(image, "uniform", 0.0, 1.0)
    # OpenImageIO writes no Cineon: Blender does, see below.
    assert image.write(str(path)), image.geterror()


@pytest.mark.parametrize("extension", [e for e in EXTENSIONS + SPELLINGS if e != "cin"])
def test_whole_images_pass_and_truncated_ones_do_not(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"frame_0001.{extension}"
    write_image(path)
    examine(path, path.name, (64, 36))
    whole = path.read_bytes()
    # Behind its pixels, a TGA of OpenImageIO has a long thumbnail, which may be cut.
    almost = len(whole) // 2 if extension == "tga" else len(whole) - 1
    for part in (0, 20, len(whole) // 2, almost):
        path.write_bytes(whole[:part])
        with pytest.raises(OutputError, match=r"frame_0001"):
            examine(path, path.name, (64, 36))


def test_a_truncated_cineon_file_is_found_by_its_declared_size(tmp_path: Path) -> None:
    path = tmp_path / "a.cin"
    header = bytearray(2048)
    struct.pack_into(">IIIIII", header, 0, 0x802A5FD7, 2048, 1024, 1024, 0, 2048 + 400)
    path.write_bytes(bytes(header) + bytes(100))
    with pytest.raises(OutputError):
        examine(path, "a.cin", None)


def test_a_wrong_size_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_image(path, 32, 18)
    with pytest.raises(OutputError, check=saying("image-has-wrong-size", 32, 18, 64, 36)):
        examine(path, "a.png", (64, 36))
    examine(path, "a.png", None)


@settings(deadline=None)
@given(st.sets(st.integers(-300, 300), min_size=1).map(sorted))
def test_frame_range_keeps_every_frame_in_order(frames: list[int]) -> None:
    from openjd.model import IntRangeExpr

    text = frame_range(frames)
    assert list(IntRangeExpr.from_str(text)) == frames
    # The scripts inside renderers have a parser of their own.
    assert frames_of_the_scripts()(text) == frames


def frames_of_the_scripts() -> Callable[[str], list[int]]:
    frames_of: Callable[[str], list[int]] = shared_script().frames_of
    return frames_of


@cache
def shared_script() -> ModuleType:
    folder = Path(farm.products.__file__).parent / "shared"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)  # As in a renderer: they import each other by name.
        return importlib.import_module("farm_script")


NAMES = st.text(alphabet="aA_2./\u00e4\u0308 ", max_size=4) | st.sampled_from(
    ["CON", "nul.png", "Com1", "lpt\xb2.", "console", "x" * 300]
)


@given(st.lists(NAMES, max_size=8))
def test_names_of_nodes_are_told_apart_on_every_system(texts: list[str]) -> None:
    names = shared_script().distinct_names(texts, "node")
    assert len(names) == len(texts)
    folded = [unicodedata.normalize("NFC", name).casefold() for name in names]
    assert len(set(folded)) == len(folded)
    assert all(check_segment(name) == name for name in names)


def test_a_long_regular_range_stays_short() -> None:
    assert frame_range(range(1, 10_000, 3)) == "1-9997:3"
    assert frame_range([5]) == "5"
    assert frame_range([1, 2, 3, 9]) == "1-3,9"


@pytest.mark.parametrize(
    ("ended", "failure", "left", "outcome", "said"),
    [
        (Ended(0, None), None, [], Outcome.COMPLETED, ""),
        (
            Ended(0, None),
            None,
            [3],
            Outcome.FAILED,
            saying("renderer-ended-without-error-but", 3),
        ),
        (Ended(0, None), Failure("Bad.", True), [], Outcome.FAILED, "Bad."),
        (Ended(1, None), None, [], Outcome.FAILED, saying("renderer-ended-with-exit-code", 1)),
        (
            Ended(None, 9),
            None,
            [3],
            Outcome.FAILED,
            saying("renderer-ended", "SIGKILL", saying("while-rendered-frame", 3)),
        ),
        (Ended(None, 11), None, [3], Outcome.FAILED, saying("renderer-ended", "SIGSEGV")),
        (Ended(None, None), None, [3], Outcome.FAILED, saying("renderer-could-not-started")),
    ],
)
def test_the_verdict(
    ended: Ended, failure: Failure | None, left: list[int], outcome: Outcome, said: str | saying
) -> None:
    finish = judge(ended, failure, left, 3, "the last line", SYMPTOMS)
    assert finish.outcome is outcome
    assert says(finish.message, said) if isinstance(said, saying) else said == finish.message
    assert finish.permanent is (failure is not None and failure.permanent)


def test_a_long_message_is_cut_to_the_protocols_limit() -> None:
    long = Failure("x" * 5000, False)
    assert len(judge(Ended(1, None), long, [], None, "", SYMPTOMS).message) == 2000


Blob = tuple[Path, FileEntry]


@pytest.fixture
def blob(tmp_path: Path) -> Blob:
    source = tmp_path / "bytes"
    source.write_bytes(b"hello")
    digest, size = hash_file(source)
    path = tmp_path / "store" / digest[:2] / digest
    path.parent.mkdir(parents=True)
    source.rename(path)
    path.chmod(0o444)
    return path, FileEntry(path="show/a/b.txt", hash=digest, size=size)


NOBODY = Farm("http://127.0.0.1:9", "token")
"""Nothing is told to it in a moment."""


def test_what_is_staged_can_be_changed_and_the_blob_stays(tmp_path: Path, blob: Blob) -> None:
    path, entry = blob
    project = tmp_path / "project"
    stage([entry], project, NOBODY, DiskSource(folder=str(tmp_path / "store")), Event())
    staged = project / "show" / "a" / "b.txt"
    assert staged.read_bytes() == b"hello"
    assert staged.stat().st_mode & stat.S_IWUSR
    staged.write_bytes(b"other")
    assert path.read_bytes() == b"hello"


class SoonSet(Event):
    """Set by somebody else, after it was looked at once."""

    def is_set(self) -> bool:
        found = super().is_set()
        self.set()
        return found


def test_a_runner_that_is_told_to_end_does_not_finish_copying(tmp_path: Path, blob: Blob) -> None:
    _, entry = blob
    project = tmp_path / "project"
    with pytest.raises(InterruptedStageError):
        stage([entry], project, NOBODY, DiskSource(folder=str(tmp_path / "store")), SoonSet())


@pytest.mark.parametrize("mode", [0o400, 0o600], ids=["older", "today"])
def test_where_changes_are_kept_apart_nothing_is_copied(
    tmp_path: Path, blob: Blob, mode: int
) -> None:
    path, entry = blob
    path.chmod(mode)
    project, source = tmp_path / "project", DiskSource(folder=str(tmp_path / "store"))
    stage([entry], project, NOBODY, source, Event(), linked=True)
    staged = project / "show" / "a" / "b.txt"
    assert staged.samefile(path)
    # Its own mode is what a renderer sees: one that opens it for writing must not be refused.
    assert staged.stat().st_mode & 0o777 == 0o600


class Listening(Farm):
    """A farm that hears how a runner gets ready."""

    def __init__(self, *commands: RunnerCommand) -> None:
        super().__init__("http://127.0.0.1:9", "token")
        self.commands = list(commands)

    def ready_soon(self) -> RunnerCommand:
        return self.commands.pop(0)


def test_staging_tells_that_it_goes_on_and_obeys(
    tmp_path: Path, blob: Blob, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, entry = blob
    monkeypatch.setattr("farm.runner.stage.HEARTBEAT_SECONDS", 0)
    farm = Listening(RunnerCommand.CONTINUE, RunnerCommand.CONTINUE, RunnerCommand.YIELD)
    entries = [entry.model_copy(update={"path": f"show/{number}"}) for number in range(5)]
    project = tmp_path / "project"
    source = DiskSource(folder=str(tmp_path / "store"))
    with pytest.raises(InterruptedStageError):
        stage(entries, project, farm, source, Event(), linked=True)
    assert sorted(path.name for path in (project / "show").iterdir()) == ["0", "1"]


def test_a_large_file_is_copied_with_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.runner.stage.HEARTBEAT_SECONDS", 0)
    monkeypatch.setattr("farm.runner.stage.CHUNK_BYTES", 1000)
    monkeypatch.setattr("farm.runner.stage._clone", lambda *_: False)
    source = tmp_path / "bytes"
    source.write_bytes(os.urandom(2500))
    digest, size = hash_file(source)
    path = tmp_path / "store" / digest[:2] / digest
    path.parent.mkdir(parents=True)
    source.rename(path)
    farm = Listening(*[RunnerCommand.CONTINUE] * 4)
    entry = FileEntry(path="show/cache.vdb", hash=digest, size=size)
    stage([entry], tmp_path / "project", farm, DiskSource(folder=str(tmp_path / "store")), Event())
    assert farm.commands == []
    assert (tmp_path / "project" / "show" / "cache.vdb").read_bytes() == path.read_bytes()


def test_a_path_of_an_older_farm_is_refused_for_good(tmp_path: Path, blob: Blob) -> None:
    """It can be read, so that its job fails with a message, and not its runner."""
    _, entry = blob
    older = KnownFile(path="show/" + "/".join(["x" * 200] * 15), hash=entry.hash, size=entry.size)
    source = DiskSource(folder=str(tmp_path / "store"))
    with pytest.raises(StageError, check=saying("project-path-not-allowed")) as refused:
        stage([older], tmp_path / "project", NOBODY, source, Event())
    assert refused.value.permanent


def test_what_is_copied_leaves_room_on_the_disk(tmp_path: Path) -> None:
    """One blob has many names: the farm of this disk must be able to go on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk of its own can be mounted here")
    try:
        source = disk / "bytes"
        source.write_bytes(os.urandom(1 << 20))
        digest, size = hash_file(source)
        path = disk / "store" / digest[:2] / digest
        path.parent.mkdir(parents=True)
        source.rename(path)
        entries = [FileEntry(path=f"show/{n}", hash=digest, size=size) for n in range(30)]
        told = DiskSource(folder=str(disk / "store"))
        with pytest.raises(StageError, check=saying("disk-render-machine-full")) as refused:
            stage(entries, disk / "project", NOBODY, told, Event())
        assert not refused.value.permanent
        assert shutil.disk_usage(disk).free >= shutil.disk_usage(disk).total // 20
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_said_plainly(
    tmp_path: Path, blob: Blob, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, entry = blob

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("farm.runner.stage._clone", full)
    with pytest.raises(StageError, check=saying("disk-render-machine-full")):
        stage(
            [entry],
            tmp_path / "project",
            NOBODY,
            DiskSource(folder=str(tmp_path / "store")),
            Event(),
        )


def test_a_link_to_somebody_elses_file_is_no_result(tmp_path: Path) -> None:
    output = tmp_path / "written" / "output"
    output.mkdir(parents=True)
    (output / "frame.png").write_bytes(b"pixels")
    mine = (output / "frame.png").stat().st_uid
    with pytest.raises(OutputError, check=saying("not-file-scene-put-something")):
        take(output, "frame.png", tmp_path / "taken.png", owner=mine + 1)
    (output / "frame.png").write_bytes(b"pixels")
    take(output, "frame.png", tmp_path / "taken.png", owner=mine)
    assert (tmp_path / "taken.png").read_bytes() == b"pixels"
