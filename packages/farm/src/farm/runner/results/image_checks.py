"""Has images checked by a process that is discarded when one of them crashes it.

One process, `farm.runner.results.image_worker`, serves a runner for its whole life: it is started
while the renderer loads, so that the first frame need not wait for it.
"""

import contextlib
import errno
import logging
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from farm_protocol.runner import SandboxMode
from pydantic import ValidationError

from farm.confine import is_root
from farm.confine.ending import end
from farm.confine.readers import command, environment, inheritable, new_folder
from farm.confine.removal import remove_tree
from farm.frame_health.statistics import ImageStatistics
from farm.runner.results.image_messages import (
    ANSWERS,
    Decoding,
    Looked,
    Question,
    Ready,
    Wrong,
)
from farm.runner.results.outputs import OutputError, check_there

log = logging.getLogger("farm.runner")

_HEADER_SECONDS = 120.0
"""Includes the start of the process, on a busy machine."""
_BYTES_A_SECOND = 4 << 20
_ASKED_SECONDS = 0.5
"""Between two checks whether the answer is still wanted."""
_MOST_ANSWER = 1 << 20
_MOST_MESSAGE = 1000
_NO_ANSWER = "the process that checked it gave an invalid answer"


class _EndedError(Exception):
    """The process has ended, or is unusable. ``str()`` says why, for people."""


class ImageChecks:
    """Checks the images of a runner, one by one. May be called from any thread."""

    def __init__(self, mode: SandboxMode) -> None:
        """Keep the farm's sandbox mode; the process starts with the first check."""
        self._mode = mode
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._rest = b""
        self._folder: Path | None = None
        self._memory_bytes: int | None = None

    def allow(self, memory_bytes: int) -> None:
        """Limit the process to the memory of a renderer of the job, from now on.

        It gets at least `image_worker.LEAST_MEMORY`, a few GB that it needs.
        """
        self._memory_bytes = memory_bytes

    def warm_up(self) -> None:
        """Start the process, without waiting until it is ready.

        If it cannot be started now, for lack of processes for example, the first check starts it.
        """
        with self._lock, contextlib.suppress(OSError):
            self._start()

    def check(
        self,
        path: Path,
        name: str,
        size: tuple[int, int] | None,
        go_on: Callable[[], None] = lambda: None,
    ) -> ImageStatistics | None:
        """Return the statistics of an image's visible part; None if it has none.

        Parameters:
            path: path of a file that nobody else writes any more.
            name: its name for people.
            size: expected (width, height) in pixels; None to take any.
            go_on: called now and then; its exceptions end the check.

        Raises:
            OutputError: it is incomplete, has another size, needs more than any frame should, or
                crashes the checker.
            OSError: it cannot be read, or the process cannot be started; also
                `farm.confine.UndecidedError`.
        """
        check_there(path, name)
        question = Question(
            name=name,
            suffix=path.suffix,
            size=size,
            memory=self._memory_bytes,
            path=str(path.resolve()),
        )
        with self._lock, _open(path, name) as file:
            try:
                for last in (False, True):
                    try:
                        self._start()
                        self._ask(question, file)
                        break
                    except OSError as error:
                        # The process had ended before: this image is not at fault.
                        self._throw_away()
                        if error.errno == errno.ETOOMANYREFS:
                            return self._answer_of_another(question, file, name, go_on)
                        if last:
                            raise
                return self._answer(name, go_on)
            except _EndedError as error:
                self._throw_away()
                log.warning("The process that checks images ended at %s: %s", name, error)
                raise OutputError(
                    f"The result {name} cannot be checked: {error}. It is damaged, or needs"
                    " more memory or time than any frame should."
                ) from None
            except BaseException:
                self._throw_away()
                raise

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._throw_away()

    def _answer_of_another(
        self, question: Question, file: int, name: str, go_on: Callable[[], None]
    ) -> ImageStatistics | None:
        """Ask a process that has inherited the file, and can check no other.

        The kernel limits descriptors in transit per user, and a scene of that user has used up all
        of them.
        """
        inherited = inheritable(file)
        try:
            self._start(inherited)
            self._ask(question.model_copy(update={"open": inherited}), None)
            return self._answer(name, go_on)
        finally:
            os.close(inherited)
            self._throw_away()

    def _start(self, inherited: int | None = None) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._throw_away()
        line = command("farm.runner.results.image_worker", self._mode)
        if line[0] == sys.executable:
            # Without a sandbox, which has its own: leftovers after a kill are removed, too.
            self._folder = new_folder("images-")
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                line,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                # Output of its libraries may be controlled by a scene.
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment(self._folder),
                start_new_session=True,
                pass_fds=() if inherited is None else (inherited,),
            )
        self._connection, self._rest = ours, b""

    def _ask(self, question: Question, file: int | None) -> None:
        assert self._connection is not None
        line = question.line()
        self._connection.settimeout(_HEADER_SECONDS)
        if sys.platform == "linux" and file is not None:
            sent = socket.send_fds(self._connection, [line], [file])
            self._connection.sendall(line[sent:])
        else:
            self._connection.sendall(line)

    def _answer(self, name: str, go_on: Callable[[], None]) -> ImageStatistics | None:
        until = time.monotonic() + _HEADER_SECONDS
        begun = False
        while True:
            match self._next(until, go_on):
                case Decoding(decoding=pixels):
                    # A checker that an image has taken over must not get unlimited time.
                    if begun:
                        raise _EndedError(_NO_ANSWER)
                    begun = True
                    until = time.monotonic() + _HEADER_SECONDS + pixels / _BYTES_A_SECOND
                case Wrong(wrong=message):
                    raise OutputError(_printable(message))
                case Looked(statistics=found):
                    return found

    def _next(self, until: float, go_on: Callable[[], None]) -> Ready | Decoding | Looked | Wrong:
        """Return the next line of its answer. Raises _EndedError, and what ``go_on`` raises."""
        assert self._connection is not None
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0:
                raise _EndedError("it took too long")
            go_on()
            self._connection.settimeout(min(left, _ASKED_SECONDS))
            try:
                data = self._connection.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            if not data:
                raise _EndedError(self._how_it_ended())
            self._rest += data
            if len(self._rest) > _MOST_ANSWER:
                raise _EndedError(_NO_ANSWER)
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            return ANSWERS.validate_json(line)
        except ValidationError:
            raise _EndedError(_NO_ANSWER) from None

    def _how_it_ended(self) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return "the process that checked it stopped answering"
        # bubblewrap exits with 128 plus the number of the signal.
        signal = -code if code < 0 else code - 128 if code > 128 else 0
        why = f"signal {signal}" if signal else f"exit code {code}"
        return f"the process that checked it ended with {why}"

    def _throw_away(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            end(self._process)
        self._process = self._connection = None
        if self._folder is not None:
            remove_tree(self._folder)
            self._folder = None


def _printable(text: str) -> str:
    """Return the process's message in printable form: a scene may control it."""
    return "".join(each if each.isprintable() else " " for each in text[:_MOST_MESSAGE])


@contextlib.contextmanager
def _open(path: Path, name: str) -> Iterator[int]:
    """Open a file written by a renderer so that the checker may read it, too.

    The checker of a runner that is root is not root: it may read what everybody may.
    """
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OutputError(
                f"{name} is not a file: the scene has put something else in its place."
            )
        if is_root() and not status.st_mode & stat.S_IROTH:
            # A hard-linked file may not be the renderer's to make readable.
            if status.st_nlink > 1:
                raise OutputError(f"{name} is a hard link to a file that others may not read.")
            os.fchmod(file, status.st_mode | stat.S_IROTH)
        yield file
    finally:
        os.close(file)
