"""Checks images for a runner: a separate program, which a hostile image may crash.

    python -m farm.runner.results.image_worker      a socket is its standard input

Questions and answers are those of `farm.runner.results.image_messages`. First it says that it is
ready. For each image it reports the start of decoding, and then the result. It uses no more memory
than a renderer of the job may have, but at least `LEAST_MEMORY`.

It ends when the socket is closed. `farm.runner.results.image_checks` starts it and reads its
answers.
"""

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from farm.confine.own_limits import limit, lower
from farm.runner.results.image_check import examine
from farm.runner.results.image_messages import Decoding, Looked, Question, Ready, Wrong
from farm.runner.results.outputs import OutputError

MEMORY, LEAST_MEMORY = 8 << 30, 3 << 30
"""Bytes of address space. Libraries and their threads take one GB of it, and the data being decoded
another one or two.
"""
_FILES = 64
_LINE = 1 << 16
_CPU_SECONDS = 60
_BYTES_A_CPU_SECOND = 8 << 20
"""Slow decoders do 50 MB per second."""


def main() -> None:
    """Answer questions until the socket is closed."""
    # Before it may no longer be able to find its own files.
    import OpenImageIO as oiio

    limit(MEMORY, _FILES, 0)
    connection = socket.socket(fileno=0)
    # Limits on what a header may claim, before the library itself allocates memory for it.
    oiio.attribute("limits:channels", 4096)
    oiio.attribute("limits:imagesize_MB", 128 << 10)
    folder = Path(os.environ["TMPDIR"])
    connection.sendall(Ready().line())
    rest = b""
    files: list[int] = []
    while True:
        data, came, _, _ = socket.recv_fds(connection, _LINE, 1)
        if not data:
            return
        files += came
        rest += data
        if not rest.endswith(b"\n"):
            continue
        question, rest = Question.model_validate_json(rest), b""
        try:
            connection.sendall(_answer(question, files, folder, connection).line())
        finally:
            for file in files:
                os.close(file)
            files = []


def _answer(
    question: Question, files: list[int], folder: Path, connection: socket.socket
) -> Looked | Wrong:
    memory = _limit_memory(question.memory)

    def announce(pixels: int) -> None:
        _limit_time(pixels)
        connection.sendall(Decoding(decoding=pixels).line())

    try:
        with _placed(question, files, folder) as path:
            return Looked(statistics=examine(path, question.name, question.size, announce))
    except OutputError as error:
        return Wrong(wrong=str(error))
    except MemoryError:
        return Wrong(
            wrong=f"The result {question.name} needs more than {memory / 2**30:.1f} GB of memory to"
            " be checked, which is more than this machine type allows."
        )


@contextlib.contextmanager
def _placed(question: Question, files: list[int], folder: Path) -> Iterator[Path]:
    """Give the file a plain name, from which the library derives its format and nothing else."""
    opened = files[0] if files else question.open
    source = question.path if opened is None else f"/proc/self/fd/{opened}"
    path = folder / f"image{question.suffix}"
    path.symlink_to(source)
    try:
        yield path
    finally:
        path.unlink()


def _limit_memory(allowed: int | None) -> int:
    """Limit memory to that of a renderer, irrevocably; return the limit."""
    memory = MEMORY if allowed is None else min(MEMORY, max(LEAST_MEMORY, allowed))
    with contextlib.suppress(ValueError, OSError):  # macOS has no limit on address space
        lower("RLIMIT_AS", memory, for_good=True)
    return memory


def _limit_time(pixels: int) -> None:
    """Let the kernel end this process when an image takes longer than any legitimate one."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + _CPU_SECONDS + pixels // _BYTES_A_CPU_SECOND
    lower("RLIMIT_CPU", seconds)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        main()
    sys.exit(0)
