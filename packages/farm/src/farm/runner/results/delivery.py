"""Delivers finished frames to the farm: checked, measured, hashed, sent, reported."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from farm_protocol.frames import FlagCode, FrameFlag
from farm_protocol.hashing import hash_file
from farm_protocol.paths import UnsafePathError, canonical
from farm_protocol.runner import MAX_OUTPUTS, FrameDone, OutputFile

from farm.frame_health.looks import flags, picture
from farm.frame_health.statistics import ImageStatistics
from farm.runner.failure import Failure
from farm.runner.farm_client import ChangedError, Farm, RefusedError, TakenError
from farm.runner.results.image_checks import ImageChecks
from farm.runner.results.outputs import OutputError, check_there, is_image, take
from farm.runner.workplace import Workplace


@dataclass(frozen=True)
class FrameFiles:
    """Files that the renderer says it has written.

    Attributes:
        files: relative to the output folder; the frame's own.
        extra: further images of the frame, from File Output nodes.
        seconds: machine time.
        size: expected (width, height) of ``files`` in pixels; None when uncertain.
    """

    frame: int
    files: list[str]
    extra: list[str]
    seconds: float
    size: tuple[int, int] | None


_BLOCK = 512
"""The unit of ``st_blocks``, in bytes."""


_LAST_SECONDS = 2.0
"""Time for results in transit that nobody awaits any more: most frames have arrived by then."""


class AbandonedError(Exception):
    """A result took too long after nobody awaited it any more."""


class TooLargeError(Exception):
    """Results are too large. ``str()`` is a message for people."""


def _blocks_of(status: os.stat_result) -> int:
    # Windows does not report blocks: then no file has holes.
    blocks: int = getattr(status, "st_blocks", -(-status.st_size // _BLOCK))
    return blocks


class Results:
    """Sends the frames of one claim. A bad frame is remembered and does not stop the others.

    Attributes:
        sent: frames that the farm has.
        failure: of the first frame that could not be sent, or of the first for which retrying
            cannot help; None so far.
    """

    def __init__(
        self,
        farm: Farm,
        claim_id: str,
        place: Workplace,
        checks: ImageChecks,
        remote_folder: str,
        expected: Mapping[int, Sequence[str]],
        whole: int | None = None,
        *,
        most_bytes: int,
        folders: bool = False,
        unwanted: Callable[[], bool] = lambda: False,
        warnings: Callable[[], list[str]] = list,
    ) -> None:
        """Prepare.

        Parameters:
            expected: each frame's files as named by the template; [] when it does not name them.
            whole: the one frame that the farm knows of a job that is done as a whole; its files
                are reported by `complete`.
            most_bytes: limit of a frame's files together, and of all holes in files: these cost a
                scene nothing, but the farm their size.
            folders: the expected files may be in folders of cameras or layers.
            unwanted: returns whether the runner must end, or has lost its claim.
            warnings: those of the renderer so far.
        """
        self._warnings = warnings
        self._unwanted = unwanted
        self._unwanted_since: float | None = None
        self._folders = folders
        self._most_bytes, self._holes = most_bytes, 0
        self._whole = whole
        self._collected: dict[str, OutputFile] = {}
        self._seconds = 0.0
        self._farm, self._claim_id = farm, claim_id
        self._place, self._remote_folder, self._expected = place, remote_folder, expected
        self._checks = checks
        self._numbers = itertools.count()
        self.sent: set[int] = set()
        self.failure: Failure | None = None
        self._noticed: dict[FlagCode, FrameFlag] = {}
        self._rendered_at: float | None = None
        self._asking_since: float | None = None

    def rendered(self) -> None:
        """Report that the renderer has ended, and no more frames will come."""
        self._rendered_at = time.monotonic()

    def waiting_seconds(self) -> float:
        """Return for how long nothing has been rendered while the farm has not accepted a result.

        May be asked from any thread.
        """
        since, rendered = self._asking_since, self._rendered_at
        if since is None or rendered is None:
            return 0.0
        return time.monotonic() - max(since, rendered)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Measure how long the farm takes to answer."""
        self._asking_since = time.monotonic()
        try:
            yield
        finally:
            self._asking_since = None

    def send(self, frame: FrameFiles) -> None:
        """Check, send and report one frame; afterwards its files are removed.

        Raises:
            farm.runner.farm_client.ReportError: the claim is lost or the farm gone.
            AbandonedError: nobody awaits it any more, and it takes long.
        """
        try:
            paths, images = self._check(frame)
            noticed = _noticed(frame.frame, images)
            with self._asking():
                outputs = [self._upload(name, path) for name, path in paths.items()]
            if self._whole is not None:
                self._collected |= {each.path: each for each in outputs}
                self._seconds += frame.seconds
                # The farm knows one frame; the messages name the right ones, and the first of each
                # kind is kept.
                self._noticed = {flag.code: flag for flag in noticed} | self._noticed
            else:
                done = FrameDone(
                    frame=frame.frame,
                    seconds=frame.seconds,
                    outputs=outputs,
                    flags=noticed,
                    picture=picture(images[0]) if images else None,
                    warnings=self._warnings(),
                )
                with self._asking():
                    self._farm.frame_done(self._claim_id, done, self.waiting_seconds)
        except OutputError as error:
            self._fail(str(error), frame.frame)
        except (TakenError, TooLargeError) as error:
            self._fail(str(error), frame.frame, permanent=True)
        except RefusedError as error:
            self._fail(f"The farm refuses frame {frame.frame}: {error}", frame.frame)
        except OSError as error:
            self._fail(f"Frame {frame.frame} cannot be read: {error.strerror}.", frame.frame)
        else:
            self.sent.add(frame.frame)
            for path in paths.values():
                path.unlink(missing_ok=True)

    def complete(self) -> None:
        """Report the files of a job that is done as a whole.

        Raises:
            farm.runner.farm_client.ReportError: the claim is lost or the farm gone.
        """
        if self._whole is None:
            return
        outputs = list(self._collected.values())
        if not outputs:
            self._fail("The renderer ended without an error but wrote no file.", self._whole)
            return
        noticed = [
            flag.model_copy(update={"frame": self._whole}) for flag in self._noticed.values()
        ]
        done = FrameDone(
            frame=self._whole,
            seconds=self._seconds,
            outputs=outputs,
            flags=noticed,
            warnings=self._warnings(),
        )
        try:
            with self._asking():
                self._farm.frame_done(self._claim_id, done, self.waiting_seconds)
        except TakenError as error:
            self._fail(str(error), self._whole, permanent=True)
        except RefusedError as error:
            self._fail(f"The farm refuses the results: {error}", self._whole)

    def _check(self, frame: FrameFiles) -> tuple[dict[str, Path], list[ImageStatistics]]:
        """Return the frame's files by name, and the statistics of its own pictures."""
        expected = self._expected.get(frame.frame)
        if expected is None:
            raise OutputError(f"The renderer wrote frame {frame.frame}, which was not asked for.")
        if not expected and not frame.files and self._whole is None:
            raise OutputError(f"Frame {frame.frame} was rendered without a file.")
        for name in expected:
            if not any(self._is_file_of(name, given) for given in frame.files):
                raise OutputError(f"{name} was not written although the frame was rendered.")
        if len(self._collected) + len(frame.files) + len(frame.extra) > MAX_OUTPUTS:
            raise OutputError(f"The renderer wrote more than {MAX_OUTPUTS} files.")
        paths, images, size = {}, [], 0
        for name in [*frame.files, *frame.extra]:
            try:
                inside = canonical(name)
                canonical(f"{self._remote_folder}/{name}")
            except UnsafePathError as error:
                raise OutputError(f"A result has a name that is not allowed: {error}") from None
            # A number of ours, since names in two folders may be equal. The suffix gives the
            # format.
            path = self._place.taken / f"{next(self._numbers)}{PurePosixPath(name).suffix}"
            account = self._place.account
            take(self._place.output, inside, path, None if account is None else account.uid)
            paths[name] = path
            status = path.lstat()
            size += status.st_size
            self._holes += max(0, status.st_size - _BLOCK * _blocks_of(status))
            if max(size, self._holes) > self._most_bytes:
                raise TooLargeError(
                    f"The results of frame {frame.frame} are larger than the disk space that the"
                    " machine type allows. Render smaller files, or choose a larger machine type."
                )
            own = name in frame.files
            if not is_image(path.name):
                check_there(path, name)
            elif (image := self._looked_at(path, name, frame.size if own else None)) and own:
                images.append(image)
        return paths, images

    def _is_file_of(self, expected: str, given: str) -> bool:
        """Whether ``given`` is the expected file, or that of one view, camera or layer."""
        return _is_view_of(expected, given) or (self._folders and given.endswith(f"/{expected}"))

    def _looked_at(
        self, path: Path, name: str, size: tuple[int, int] | None
    ) -> ImageStatistics | None:
        return self._checks.check(path, name, size, self._go_on)

    def _go_on(self) -> None:
        """Called while a result is in transit. Raises AbandonedError."""
        if not self._unwanted():
            return
        now = time.monotonic()
        self._unwanted_since = self._unwanted_since or now
        if now - self._unwanted_since > _LAST_SECONDS:
            raise AbandonedError

    def _upload(self, name: str, path: Path) -> OutputFile:
        digest, size = hash_file(path, self._go_on)
        try:
            self._farm.upload(digest, path, self._go_on)
        except ChangedError:
            raise OutputError(f"{name} was changed after the renderer had reported it.") from None
        return OutputFile(path=f"{self._remote_folder}/{name}", hash=digest, size=size)

    def _fail(self, message: str, frame: int, *, permanent: bool = False) -> None:
        if self.failure is None or (permanent and not self.failure.permanent):
            self.failure = Failure(message, permanent=permanent, frame=frame)


def _is_view_of(expected: str, given: str) -> bool:
    """Whether ``given`` is the expected file, or one view of it (``frame_0001_L.png``)."""
    wanted, found = PurePosixPath(expected), PurePosixPath(given)
    same_place = (found.parent, found.suffix) == (wanted.parent, wanted.suffix)
    return same_place and (found.stem == wanted.stem or found.stem.startswith(wanted.stem + "_"))


def _noticed(frame: int, images: list[ImageStatistics]) -> list[FrameFlag]:
    """Return the remarks; for several views of a frame, the first of each kind."""
    found = {flag.code: flag for image in reversed(images) for flag in flags(frame, image)}
    return list(found.values())
