"""Commands whose standard output is closed or full: one sentence and status 1, no traceback.

Each program of the services runs its command line by `run_command`. Services tell by `tell` where
they are: that nobody can be told is no reason to end.
"""

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _OutputError(OSError):
    """The standard output cannot be written; no other file."""


class _Output(io.FileIO):
    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise _OutputError(error.errno, error.strerror) from None


def run_command(command: Callable[[], object]) -> None:
    """Run a command line to its end, with three standard streams that can be used.

    Raises:
        SystemExit: as the command; with status 1 when what it printed did not all arrive.
    """
    _complete()
    try:
        try:
            command()
        finally:
            sys.stdout.flush()
    except _OutputError as error:
        _discard_rest()
        if error.errno != errno.EPIPE:  # Whoever reads, such as `head`, may have read enough.
            note(
                f"Standard output cannot be written ({error.strerror}), so the rest of the"
                " answer is lost. Changes that the command has made are kept."
            )
        raise SystemExit(1) from None


def tell(text: str) -> None:
    """Print a line now. When that is not possible, say so on standard error, and return."""
    try:
        print(text, flush=True)
    except OSError as error:
        _discard_rest()
        note(
            f"Standard output cannot be written ({error.strerror}) and is no longer used."
            " Everything else continues."
        )


def note(text: str) -> None:
    """Print a line on standard error, if that is possible."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _complete() -> None:
    """Give what the caller has closed a place, or the next file that is opened would have it."""
    # What is written to standard output fails then, as it should: its answers would be lost.
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.
            os.set_inheritable(os.open(os.devnull, flags), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _with_own_errors(sys.stdout or open(1, "w", closefd=False))  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _with_own_errors(output: TextIO) -> TextIO:
    """Return a stream to the same place, whose errors are those of no other file."""
    if not isinstance(output, io.TextIOWrapper) or sys.platform == "win32":
        return output  # Windows writes to its consoles in a way of its own.
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(output.fileno(), "w", closefd=False)),
        encoding=output.encoding,
        errors=output.errors,
        line_buffering=output.line_buffering,
    )


def _discard_rest() -> None:
    """Let what is still to be written go nowhere: Python itself would try it again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    with suppress(OSError):
        sys.stdout.flush()
