"""Run a renderer that has only a command line: start it, parse its output, and rename its files.

    python drive.py --orders=FILE

The orders (JSON) are written by `farm.products`; see `_drive.py` there. Prints the events of
`farm_events`. The exit code is that of the program, or 128 plus the number of the signal that ended
it. The runner does not rely on it, and checks the files itself.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from farm_events import die_with_runner, emit, progress, warn
from farm_script import move
from farm_start import die_with_parent

if TYPE_CHECKING:
    from farm_orders import Orders

_LONGEST_LINE = 4096
"""Longer lines are cut to this number of characters."""


class Claim:
    """The requested frames, and which of them are complete."""

    def __init__(self, orders: "Orders") -> None:
        """Prepare. ``orders``: see `farm_orders`."""
        self._orders = orders
        self._done: set[int] = set()
        self._total = len(orders["files"])
        self._frame: int | None = None
        self._waiting: list[int] = []
        self._mark = time.monotonic()
        self._patterns = {
            name: re.compile(orders[name])
            for name in ("started", "written", "writing", "progress")
            if orders[name]
        }

    def begin(self, frames: "list[int]") -> None:
        """Note that a process is being started for these frames."""
        self._waiting = list(frames)
        self._frame = None
        self._go_on()

    def line(self, text: str) -> None:
        """Parse a line of the program's output."""
        text = text[:_LONGEST_LINE]
        if match := self._match("started", text):
            self._start(int(match["frame"]))
        if (match := self._match("progress", text)) and self._frame is not None:
            part = min(100.0, float(match["percent"])) / 100
            progress(100 * (len(self._done) + part) / self._total)
        if self._match("writing", text):
            for frame in [each for each in self._waiting if self._written(each, [""])][:-1]:
                self._deliver(frame)
        if match := self._match("written", text):
            number = match.groupdict().get("frame")
            at = self._frame if number is None else int(number)
            if at is not None:
                self._deliver(at)

    def end(self, code: int) -> None:
        """Note that the process has ended. Only with exit code 0 are its last files complete."""
        if code == 0:
            folders = self._folders() if self._orders["folders"] else [""]
            for frame in list(self._waiting):
                self._deliver(frame, folders)

    def _go_on(self) -> None:
        # Programs that do not report the start of a frame are assumed to render in order.
        if "started" not in self._patterns and self._waiting:
            self._start(self._waiting[0])

    def _match(self, name: str, text: str) -> "re.Match[str] | None":
        pattern = self._patterns.get(name)
        return pattern.search(text) if pattern else None

    def _start(self, frame: int) -> None:
        if frame == self._frame or frame not in self._waiting:
            return
        if self._frame is not None and "written" not in self._patterns:
            self._deliver(self._frame)
        self._frame = frame
        emit("frame_started", frame=frame)

    def _folders(self) -> "list[str]":
        """Return the folders, relative to the partial folder, with files of frames still awaited.

        There may be one per camera and layer. They are complete once the program has ended.
        """
        partial, files = self._orders["partial"], self._orders["files"]
        awaited = {
            name for frame in self._waiting for names, _ in files[str(frame)] for name in names
        }
        found = [each for each, _, names in os.walk(partial) if awaited.intersection(names)]
        return sorted("" if each == partial else os.path.relpath(each, partial) for each in found)

    def _written(self, frame: int, folders: "Sequence[str]") -> "list[tuple[str, str]]":
        """Return a frame's files as (current name, final name); [] while any is missing."""
        partial, found = self._orders["partial"], []
        for names, wanted in self._orders["files"][str(frame)]:
            for folder in folders:
                inside = [os.path.join(folder, name) for name in names]
                there = [name for name in inside if os.path.exists(os.path.join(partial, name))]
                if not there:
                    return []
                found.append((there[0], os.path.join(folder, wanted)))
        return found

    def _deliver(self, frame: int, folders: "Sequence[str]" = ("",)) -> None:
        """Move a frame's files into the output folder and report it, if they all exist."""
        found = self._written(frame, folders) if frame in self._waiting else []
        if not found:
            return
        partial, output = self._orders["partial"], self._orders["output"]
        files = []
        for name, wanted in found:
            move(os.path.join(partial, name), os.path.join(output, wanted))
            files.append(wanted)
        extra: list[str] = []
        for path, name in _others(partial, self._orders["stems"], frame):
            # Two prefixes may be equal: do not overwrite another file.
            wanted = name if name not in [*files, *extra] else f"{len(extra)}_{name}"
            move(path, os.path.join(output, wanted))
            extra.append(wanted)
        now = time.monotonic()
        emit("frame_written", frame=frame, files=files, extra=extra, seconds=now - self._mark)
        self._mark = now
        self._waiting.remove(frame)
        self._done.add(frame)
        if frame == self._frame:
            self._frame = None
        progress(100 * len(self._done) / self._total)
        self._go_on()


def main() -> int:
    """Run the program for each run of frames; return the first exit code that is not 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", required=True)
    options = parser.parse_args()
    die_with_runner()
    with open(options.orders, encoding="utf-8") as file:
        orders: Orders = json.load(file)
    for message in orders["warnings"]:
        warn(message)
    width, height = orders["size"] or (None, None)
    emit("loaded", width=width, height=height)
    if orders["copy"]:
        source, target = orders["copy"]
        _put_copy(source, target)
    claim = Claim(orders)
    for run in orders["runs"]:
        claim.begin(run["frames"])
        command = [*_set_up(orders["program"], orders["setup"]), *run["arguments"]]
        code = _run(command, orders["environment"], claim)
        claim.end(code)
        if code:
            return code
    return 0


def _put_copy(source: str, target: str) -> None:
    """Copy a file next to one of the project, with the permissions of the renderer.

    An existing file comes from another renderer of the same account, and may be a link.
    """
    if os.path.lexists(target):
        os.unlink(target)
    with open(source, "rb") as text, open(target, "xb") as copy:
        shutil.copyfileobj(text, copy)


def _set_up(program: str, setup: str) -> "list[str]":
    """Return the command that starts the program, after its environment script if there is one."""
    script = os.path.join(os.path.dirname(os.path.realpath(program)), setup)
    if not setup or not os.path.exists(script):
        return [program]
    return ["/bin/sh", "-c", '. "$0" && exec "$@"', script, program]


def _run(command: "list[str]", environment: "dict[str, str]", claim: Claim) -> int:
    emit("command", line=" ".join(command))
    parent = os.getpid()
    process = subprocess.Popen(
        command,
        # A program that prompts for input must not wait for it.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
        preexec_fn=lambda: die_with_parent(parent),
    )
    assert process.stdout is not None
    for line in _lines(process.stdout):
        print(line, flush=True)
        claim.line(line)
    code = process.wait()
    return code if code >= 0 else 128 - code


def _lines(stream: "IO[bytes]") -> "Iterator[str]":
    """Yield lines as they arrive. A carriage return ends a line, too: progress bars use it."""
    rest = b""
    while data := os.read(stream.fileno(), 65536):
        *whole, rest = re.split(rb"[\r\n]+", rest + data)
        yield from (_text(each) for each in whole if each)
        if len(rest) > _LONGEST_LINE:
            # Otherwise, endless output without line ends would fill memory.
            yield _text(rest)
            rest = b""
    if rest:
        yield _text(rest)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")


def _others(folder: str, stems: "dict[str, str]", frame: int) -> "Iterator[tuple[str, str]]":
    """Yield paths of additional files of a frame, such as passes, and their final names."""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            inside = os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, "/")
            stem = next((each for each in stems if inside.startswith(each)), None)
            above = ""
            if stem is None and "/" in inside:
                # The folder of a camera or a layer is kept.
                above, inside = inside[: -len(name)], name
                stem = next((each for each in stems if name.startswith(each)), None)
            # The last number in a name is the frame; "pass-0003" may mean frame 3.
            found = re.findall(r"-?[0-9]+", os.path.splitext(name)[0])
            if stem is not None and found and int(found[-1]) in (frame, -abs(frame)):
                rest = inside[len(stem) :].lstrip("_./")
                yield os.path.join(parent, name), above + stems[stem] + rest


if __name__ == "__main__":
    sys.exit(main())
