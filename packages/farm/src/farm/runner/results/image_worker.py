"""Looks at images for a runner: a program of its own, which a hostile image may ruin.

    python -m farm.runner.results.image_worker      a socket is its standard input

A question is a line of JSON, ``{"name", "suffix", "size", "memory"}``, with the open file beside it
(SCM_RIGHTS; where that does not work, ``open`` is the number of one that was inherited, or ``path``
says where it is). Answers are lines as well:

    {"ready": true}         it can be asked
    {"decoding": bytes}     of pixels: what it has begun, and how long it may take follows from that
    {"statistics": {...}}   the image is whole; null of a deep one
    {"wrong": message}     it is not, or asks for too much

``memory`` is what a renderer of the job may have, in bytes, or null: this program takes no more for
itself, but at least `LEAST_MEMORY`.

It ends when the socket is closed. `farm.runner.results.image_checks` starts it and reads what it
says.
"""

import contextlib
import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from farm.confine.own_limits import limit, lower
from farm.runner.results.image_check import examine
from farm.runner.results.outputs import OutputError

MEMORY, LEAST_MEMORY = 8 << 30, 3 << 30
"""Bytes of address space. Libraries and their threads take one GB of it, and what is decoded at a
time another one, or two."""
_FILES = 64
_LINE = 1 << 16
_CPU_SECONDS = 60
_BYTES_A_CPU_SECOND = 8 << 20
"""Slow decoders do 50 MB in a second."""


def main() -> None:
    """Answer questions until nobody asks any more."""
    # Before it may find its own files no more.
    import OpenImageIO as oiio

    limit(MEMORY, _FILES, 0)
    connection = socket.socket(fileno=0)
    # What a header may say, before the library itself makes room for it.
    oiio.attribute("limits:channels", 4096)
    oiio.attribute("limits:imagesize_MB", 128 << 10)
    folder = Path(os.environ["TMPDIR"])
    _say(connection, {"ready": True})
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
        question, rest = json.loads(rest), b""
        try:
            _say(connection, _answer(question, files, folder, connection))
        finally:
            for file in files:
                os.close(file)
            files = []


def _answer(
    question: dict[str, Any], files: list[int], folder: Path, connection: socket.socket
) -> dict[str, Any]:
    name, size = question["name"], question["size"]
    memory = _limit_memory(question["memory"])

    def told(pixels: int) -> None:
        _limit_time(pixels)
        _say(connection, {"decoding": pixels})

    try:
        with _placed(question, files, folder) as path:
            found = examine(path, name, tuple(size) if size else None, told)
        return {"statistics": None if found is None else asdict(found)}
    except OutputError as error:
        return {"wrong": str(error)}
    except MemoryError:
        return {
            "wrong": f"The result {name} needs more than {memory / 2**30:.1f} GB of memory to be"
            " checked, which is more than this machine type allows."
        }


@contextlib.contextmanager
def _placed(question: dict[str, Any], files: list[int], folder: Path) -> Iterator[Path]:
    """Give the file a plain name, from which the library takes its format and nothing else."""
    opened = files[0] if files else question.get("open")
    source = question["path"] if opened is None else f"/proc/self/fd/{opened}"
    path = folder / f"image{question['suffix']}"
    path.symlink_to(source)
    try:
        yield path
    finally:
        path.unlink()


def _limit_memory(told: int | None) -> int:
    """Take no more memory than a renderer may, for good; return how much that is."""
    memory = MEMORY if told is None else min(MEMORY, max(LEAST_MEMORY, told))
    with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of address space
        lower("RLIMIT_AS", memory, for_good=True)
    return memory


def _limit_time(pixels: int) -> None:
    """Let the kernel end this process when an image takes longer than any honest one would."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + _CPU_SECONDS + pixels // _BYTES_A_CPU_SECOND
    lower("RLIMIT_CPU", seconds)


def _say(connection: socket.socket, answer: dict[str, Any]) -> None:
    connection.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        main()
    sys.exit(0)
