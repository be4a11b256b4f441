"""Stand-in for Nuke 15.1's command line.

``Nuke15.1 -F 1-10x2 -X Write1,Write2 [options] script.nk`` [D]; ``-x`` renders every Write node
that is not disabled [D]. Without ``-F`` the script's own range is rendered [D]. A node in a group
is called ``Group1.Write1`` [D]. With ``-p``, or when the script was saved so, the proxy size is
rendered, into the node's proxy file where it names one; ``-f`` turns that off [D].

Exit codes [D]: 0, 1 for an error, 100 without a licence. ``Frame N (i of n)`` and
``Writing FILE took X seconds`` [S]; ``ERROR: ...`` and the licence report [S]; the words that name
the error, and a time stamp before that of a render, are [C]. ``--version`` answers ``15.1v3`` [C]
(that it tells the version is [D]).

Refused although Nuke has it [C]: ``-t`` with a Nuke script (it wants Python [D]), a start without
``-x`` or ``-X`` (that is the interface, for which a node has no display), unknown commands and
functions in scripts, all image formats but EXR, JPEG, PNG, Targa and TIFF.
"""

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from stand_ins._common import (
    FORMATS,
    Orders,
    RefusedError,
    frame_range,
    read_orders,
    unique,
    write_frame,
)
from stand_ins._tcl import TclError, commands, expand

VERSION = "15.1v3"

_FLAGS = {"-x", "-t", "-i", "-f", "-p", "-q", "-n", "-l", "-a", "--cont", "--sro", "--safe"} | {
    "--nukex",
    "--nocrashprompt",
    "--gpu",
    "--multigpu",
}
_VALUES = {
    "-F": r"-?\d+(--?\d+(x\d+)?)?",
    "-X": r"[\w.]+(,[\w.]+)*",
    "-m": r"[1-9]\d*",
    "-c": r"\d+[kMG]?",
    "-s": r"\d+",
    "-V": r"[012]",
    "-remap": r".*",
}
"""Option -> what its value looks like [D]."""
_FRAMES = re.compile(r"(-?\d+)(?:-(-?\d+)(?:x(\d+))?)?")
_FILE_TYPES = {"exr": "exr", "jpeg": "jpg", "png": "png", "targa": "tga", "tiff": "tif"}
_ON = ("true", "1", "on", "yes")
_GROUPS = ("Group", "LiveGroup")
"""Nodes with nodes inside, up to ``end_group``."""
_COMMANDS = {"add_layer", "define_window_layout_xml", "push", "set", "version"}
"""Commands of scripts that are no nodes; lower-case words that are none of these are errors."""


@dataclass
class _Arguments:
    flags: set[str] = field(default_factory=set)
    frames: list[int] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    script: str = ""


@dataclass
class _Script:
    """A script.

    Attributes:
        name: its path, as given.
        root: knobs of Root.
        writes: Write node's full name, ``Group1.Write1`` in a group -> its knobs, in the script's
            order.
    """

    name: str
    root: dict[str, str] = field(default_factory=dict)
    writes: dict[str, dict[str, str]] = field(default_factory=dict)

    def value(self, knob: str) -> str:
        """Return a knob's text; KeyError when there is none."""
        node, _, name = knob.rpartition(".")
        if node == "root":
            return self.name if name == "name" else self.root[name]
        return self.writes[node][name]

    def frames(self) -> list[int]:
        """Return the range of the script."""
        first, last = (int(self.root.get(k, "1")) for k in ("first_frame", "last_frame"))
        return frame_range(first, last, 1)

    def views(self, node: str) -> list[str]:
        """Return the views that a Write node writes: all of Root's, or those that it names."""
        lines = self.root.get("views", "main #ffffff").splitlines()
        views = [line.split()[0] for line in lines if line.strip()]
        named = self.writes[node].get("views", "").split()
        for view in named:
            if view not in views:
                raise RefusedError(1, f"ERROR: {node}: {view}: no such view")
        return [view for view in views if view in named or not named]

    def size(self, *, proxy: bool) -> tuple[int, int]:
        """Return (width, height) of the root format, or what proxy mode makes of it."""
        width, height, *_ = self.root.get("format", "2048 1556").split()
        scale = float(self.root.get("proxy_scale", "0.5")) if proxy else 1.0
        return max(1, round(int(width) * scale)), max(1, round(int(height) * scale))


def main(arguments: list[str]) -> int:
    """Run Nuke and return its exit code.

    Parameters:
        arguments: without the program's name.
    """
    if arguments == ["--version"]:
        print(VERSION)
        return 0
    given = _parse(arguments)
    print(f"Nuke {VERSION}, 64 bit, built Jul 10 2024.")
    text = _read(given.script)
    orders = read_orders(text, "#")
    if orders.licence:
        _no_licence("interactive" if "-i" in given.flags else "render only")
    script = _load(given.script, text)
    return _render(given, script, orders)


def _parse(arguments: list[str]) -> _Arguments:
    given = _Arguments()
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in _FLAGS:
            given.flags.add(option)
            continue
        if option not in _VALUES:
            raise RefusedError(1, f"Nuke: unknown option {option}", _USAGE)
        if not rest or not re.fullmatch(_VALUES[option], rest[0]):
            raise RefusedError(1, f"Nuke: bad value for {option}: {' '.join(rest[:1])}", _USAGE)
        value = rest.pop(0)
        if option == "-F":
            given.frames += _range(value)
        elif option == "-X":
            given.nodes += value.split(",")
    if len(rest) != 1:
        # Options behind the script are its own arguments in Nuke: whoever writes them there erred.
        raise RefusedError(1, "Nuke: one script is needed, behind all options", _USAGE)
    given.script = rest[0]
    if "-t" in given.flags:
        raise RefusedError(1, f'  File "{given.script}", line 1', "SyntaxError: invalid syntax")
    if not given.nodes and "-x" not in given.flags:
        raise RefusedError(1, "qt.qpa.xcb: could not connect to display")
    return given


def _range(text: str) -> list[int]:
    match = _FRAMES.fullmatch(text)
    assert match is not None
    first = int(match[1])
    frames = frame_range(first, int(match[2] or first), max(1, int(match[3] or 1)))
    if not frames or match[3] == "0":
        raise RefusedError(1, f"Nuke: bad frame range {text}")
    return frames


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(
            1, f"ERROR: {path}: can't open: {getattr(error, 'strerror', error)}"
        ) from None


def _load(name: str, text: str) -> _Script:
    script = _Script(name)
    groups: list[str] = []
    try:
        for words in commands(text):
            match words:
                case [node, body] if node[:1].isupper():
                    knobs = {w[0]: w[1] for w in commands(body) if len(w) > 1}
                    if node == "Root":
                        script.root = knobs
                    elif node == "Write":
                        own = knobs.get("name", f"Write{len(script.writes) + 1}")
                        script.writes[".".join([*groups, own])] = knobs
                    elif node in _GROUPS:
                        groups.append(knobs["name"])
                case ["end_group"] if groups:
                    groups.pop()
                case [word, *_] if word not in _COMMANDS:
                    raise TclError(f"{word}: unknown command")
    except TclError as error:
        raise RefusedError(1, f"ERROR: {name}: {error}") from None
    return script


def _no_licence(kind: str) -> None:
    raise RefusedError(
        100,
        "A license for nuke was not found",
        "",
        "FOUNDRY LICENSE ERROR REPORT",
        "----------------------------",
        "License(s) Requested:",
        f"nuke 2024.0710 {kind} with options all",
        "RLM LICENSE DIAGNOSTICS",
        "RLM : A suitable license does not exist",
    )


def _render(given: _Arguments, script: _Script, orders: Orders) -> int:
    for node in given.nodes:
        if node not in script.writes:
            raise RefusedError(1, f"ERROR: {node}: no such node")
    names = [
        name
        for name, knobs in script.writes.items()
        if name in (given.nodes or script.writes) and knobs.get("disable", "") not in _ON
    ]
    if not names:
        raise RefusedError(1, "RuntimeError: no active Write operators")
    frames = unique(given.frames) or script.frames()
    if orders.error_exit_0:
        _error(f"{names[0]}: Read1: error reading file")
    failed = False
    for index, frame in enumerate(frames, 1):
        orders.begin(frame)
        try:
            if orders.at("fail-at", frame):
                raise RefusedError(1, f"{names[0]}: error reading pixels of frame {frame}")
            for name in names:
                for view in script.views(name):
                    _write(script, name, view, frame, orders, given.flags)
        except RefusedError as refusal:
            failed = True
            _error(*refusal.lines)
            if "--cont" not in given.flags:
                break
        else:
            if "-q" not in given.flags:
                print(f"Frame {frame} ({index} of {len(frames)})")
    return 1 if failed else 0


def _error(why: str) -> None:
    print(f"[12:01.33] ERROR: {why}", file=sys.stderr)


def _write(
    script: _Script, name: str, view: str, frame: int, orders: Orders, flags: set[str]
) -> None:
    knobs = script.writes[name]
    # -f wins [D].
    proxy = "-f" not in flags and ("-p" in flags or script.root.get("proxy", "") in _ON)
    target = knobs.get("proxy", "") if proxy else ""
    try:
        text = expand(target or knobs.get("file", ""), script.value)
        folder = expand(script.root.get("project_directory", ""), script.value)
    except TclError as error:
        raise RefusedError(1, f"{name}: {error}") from None
    if not text:
        raise RefusedError(1, f"{name}: file name is empty")
    # %V is the view's name and %v its first letter [D].
    text = text.replace("%V", view).replace("%v", view[0])
    path = Path(folder, _number(text, frame))
    if knobs.get("create_directories", "") in _ON:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_frame(path, script.size(proxy=proxy), frame, orders, _format(name, knobs, path))
    except OSError as error:
        raise RefusedError(1, f"{name}: {path}: {error.strerror}") from None
    if "-q" not in flags:
        print(f"Writing {path} took {orders.seconds:.2f} seconds")


def _number(text: str, frame: int) -> str:
    """Put the frame where ``####`` or ``%04d`` stands, as Nuke does; several times if need be."""
    text = re.sub("#+", lambda found: f"{frame:0{len(found[0])}d}", text)
    return re.sub(r"%(?:0(\d+))?d", lambda found: f"{frame:0{found[1] or 1}d}", text)


def _format(name: str, knobs: dict[str, str], path: Path) -> str:
    file_type = knobs.get("file_type", "").strip()
    extension = path.suffix[1:]
    if file_type:
        extension = _FILE_TYPES.get(file_type, "")
    if extension not in FORMATS or extension == "iff":
        raise RefusedError(1, f"{name}: {os.path.basename(path)}: unknown file type")
    return extension


_USAGE = (
    "usage: Nuke [-x | -X nodes] [-F range]... [-m threads] [-c size] [-V level] [-i] [--cont]"
    " [--sro] script"
)
