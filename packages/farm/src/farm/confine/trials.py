"""Whether a program can start here: yes, no, or currently unknown.

A program may fail to start only for lack of resources: a scene that uses up its user's processes or
open files takes them from all other programs of that user, too. Treating that as "there is no
sandbox here" would free that very scene from the sandbox. So a trial has a third outcome, after
which nothing may be started without a sandbox, and which is never cached.
"""

import errno
import os
import signal
import subprocess
import time
from pathlib import Path

from farm.confine.ending import end

_ASK_SECONDS = 60.0
_PAUSES = (0.1, 0.3, 0.6, 1.0)
"""Seconds between attempts. Callers with more time start over."""
_LONGEST_REASON = 300
_NO_ROOM = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC)
_NO_MACHINE_CODE = 524
"""The kernel's error when its resources for system call filters are used up (ENOTSUPP, which Python
does not name).
"""
_SAYS_NO_ROOM = (
    *map(os.strerror, (*_NO_ROOM, _NO_MACHINE_CODE)),
    *("ENOSPC", "Cannot fork", "Pipe call"),
)
"""In output of bubblewrap, util-linux and shells; the last two are dash's."""
_NAMESPACES = Path("/proc/sys/user")
_NOT_STARTED = 127
"""A shell's message about a command that cannot be started."""
_FIRST_SIGNAL, _SIGNALS = 129, 64
"""Exit codes of shells and bubblewrap for a program that was ended by a signal."""


class UndecidedError(OSError):
    """It is currently unknown whether a program can start. ``str()`` is a message for people.

    As with any other lack of processes, it may work the next time.
    """

    def __init__(self, message: str) -> None:
        """Store the message."""
        super().__init__(errno.EAGAIN, message)

    def __str__(self) -> str:
        return str(self.strerror)


def trial(line: list[str], trouble: str) -> str:
    """Run a command; return a message that begins with ``trouble``, "" when it succeeds.

    Temporary failures are retried for two seconds; a command that takes a minute runs only once.

    Raises:
        UndecidedError: a signal has ended it, it took too long, or resources were short.
    """
    code, output = _repeated(line, trouble)
    return "" if code == 0 else _message(trouble, output or f"exit code {code}")


def output_of(line: list[str], trouble: str) -> str:
    """Run a command; return its output, "" where there is no such command.

    Raises:
        UndecidedError: as for `trial`.
    """
    return _repeated(line, trouble)[1]


def _repeated(line: list[str], trouble: str) -> tuple[int, str]:
    until = time.monotonic() + _ASK_SECONDS
    for pause in _PAUSES:
        try:
            return _tried(line, trouble)
        except UndecidedError:
            if time.monotonic() > until:
                raise
        time.sleep(pause)
    return _tried(line, trouble)


def _tried(line: list[str], trouble: str) -> tuple[int, str]:
    """Return exit code and output of a command. Raises UndecidedError."""
    try:
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=_in_english(),
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        )
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise UndecidedError(_message(trouble, str(error.strerror))) from error
        return _NOT_STARTED, str(error)
    with process:
        try:
            out, complained = process.communicate(timeout=_ASK_SECONDS)
        except subprocess.TimeoutExpired as error:
            end(process)
            raise UndecidedError(_message(trouble, str(error))) from error
    code, output = process.returncode, complained.strip() or out.strip()
    number = -code if code < 0 else code + 1 - _FIRST_SIGNAL
    if 0 < number <= _SIGNALS:
        raise UndecidedError(_message(trouble, f"{_name(number)} ended it"))
    if code != 0 and _found_no_room(output):
        raise UndecidedError(_message(trouble, output))
    return code, output


def _in_english() -> dict[str, str]:
    """Return our variables, changed so that programs report errors in English."""
    variables = {name: value for name, value in os.environ.items() if name != "LANGUAGE"}
    return {**variables, "LC_ALL": "C.UTF-8"}


def _found_no_room(output: str) -> bool:
    if not any(each in output for each in _SAYS_NO_ROOM):
        return False
    # Too many namespaces are reported in the same way as a ban on namespaces.
    no_space = ("ENOSPC", os.strerror(errno.ENOSPC))
    return not (any(each in output for each in no_space) and _allows_no_namespaces())


def _allows_no_namespaces() -> bool:
    try:
        limits = [each.read_text() for each in _NAMESPACES.glob("max_*_namespaces")]
    except OSError:
        return False
    return any(each.strip() == "0" for each in limits)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _message(trouble: str, output: str) -> str:
    last = output.splitlines()[-1] if output else ""
    return f"{trouble}: {last[:_LONGEST_REASON].rstrip('.')}."
