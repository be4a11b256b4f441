"""Commands whose standard output is closed or full: one sentence and status 1, no traceback.

Each program of the services runs its command line with `run_command`. Services announce their
address with `tell`: that nobody reads it is no reason to exit.
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
    """The standard output, and no other file, cannot be written."""


class _Output(io.FileIO):
    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise _OutputError(error.errno, error.strerror) from None


def run_command(command: Callable[[], object]) -> None:
    """Run a command line to its end, with three usable standard streams.

    Raises:
        SystemExit: as from the command; with status 1 when its output did not all arrive.
    """
    _complete()
    try:
        try:
            command()
        finally:
            sys.stdout.flush()
    except _OutputError as error:
        _discard_rest()
        if error.errno != errno.EPIPE:  # The reader, such as `head`, may have read enough.
            note(
                f"Standard output cannot be written ({error.strerror}), so the rest of the"
                " answer is lost. Changes that the command has made are kept."
            )
        raise SystemExit(1) from None


def tell(text: str) -> None:
    """Print a line now. If that is not possible, say so on standard error, and return."""
    try:
        print(text, flush=True)
    except OSError as error:
        _discard_rest()
        note(
            f"Standard output cannot be written ({error.strerror}) and is no longer used."
            " Everything else continues."
        )


def note(text: str) -> None:
    """Print a line on standard error, if possible."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _complete() -> None:
    """Reopen standard streams that the caller has closed, or the next opened file would take their
    place.
    """
    # Writing to standard output then fails, as it should: its answers would be lost.
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, flags), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _with_own_errors(sys.stdout or open(1, "w", closefd=False))  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _with_own_errors(output: TextIO) -> TextIO:
    """Return a stream to the same place whose errors can be told from those of other files."""
    if not isinstance(output, io.TextIOWrapper) or sys.platform == "win32":
        return output  # Windows has its own way of writing to consoles.
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(output.fileno(), "w", closefd=False)),
        encoding=output.encoding,
        errors=output.errors,
        line_buffering=output.line_buffering,
    )


def _discard_rest() -> None:
    """Discard what is still to be written: Python itself would try to write it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    with suppress(OSError):
        sys.stdout.flush()
