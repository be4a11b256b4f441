"""Nuke scripts: which files they write is only said in them. Pure text work, no Nuke.

A script's Write nodes name their own files, so they are given others below the partial folder, in a
copy that lies beside the script (its relative paths still hold). Only the text of the knobs is
touched.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from farm.products import SceneError, SceneFiles
from farm_protocol.paths import UnsafePathError, check_segment

_NODE = re.compile(r"^(?P<indent>[ \t]*)(?P<kind>[A-Z]\w*) \{[ \t]*$")
_KNOB = re.compile(r"^[ \t]*(?P<name>[a-z_]\w*)[ \t]+(?P<value>.*)", re.DOTALL)
_NAME_KNOB = re.compile(r"^[ \t]*name[ \t]+(?P<name>\S+)[ \t]*$")
_NAME = re.compile(r"[A-Za-z_]\w{0,99}")
_ON = ("true", "1", "on", "yes")
_MOVIES = (".mov", ".mp4", ".avi", ".mxf", ".mkv", ".gif")
_FRAME = re.compile(r"#+|%(?:0(?P<digits>\d{1,2}))?d")
_ROOT = re.compile(r"^Root \{$", re.MULTILINE)
_ROOT_END = re.compile(r"^\}$", re.MULTILINE)
_VIEWS = re.compile(r'^[ \t]*views[ \t]+"(?P<views>[^"]*)"', re.MULTILINE)
_VIEW = re.compile(r"%[Vv]")
_MOST_BYTES, _MOST_WRITES = 32 << 20, 1000
"""Of a script, which is read as a whole: its lines take many times as much memory."""
_MOST_VIEWS, _MOST_PATTERNS = 500, 4000
"""Views of a script, and files that it writes of a frame, those of all nodes and views together."""
_MOST_DEEP, _LONGEST_NAME = 50, 200
"""Groups in groups, and characters of a node's full name, which becomes that of a folder. Each
Write node has the names of all its groups."""
_ONE_VIEW = "main"
"""The view of a script that names none."""
_EXTENSIONS = {"exr": "exr", "jpeg": "jpg", "png": "png", "targa": "tga", "tiff": "tif"}
_EXTENSIONS |= {"dpx": "dpx", "cin": "cin", "hdr": "hdr", "sgi": "sgi", "": "exr"}


@dataclass
class _Write:
    """A Write node.

    Attributes:
        groups: names of the groups in which it is, from the outermost.
        file_line: where its file stands; None when it has none.
    """

    first: int
    groups: tuple[str, ...]
    knobs: dict[str, str]
    file_line: int | None = None

    @property
    def name(self) -> str:
        """Its name as Nuke's command line wants it: ``Group1.Write1`` in a group."""
        return ".".join((*self.groups, self.own_name))

    @property
    def own_name(self) -> str:
        return self.knobs.get("name", "")


def read_scene(scene: Path, partial: Path, values: Mapping[str, str]) -> SceneFiles:
    """Return what a script writes, and the copy that writes below ``partial``.

    Parameters:
        values: ``write_nodes``: names, separated by commas; "" for all that are not disabled. A
            node in a group may go without the group's name where no other has its own.

    Raises:
        SceneError: it is no script, has no such Write node, or writes what cannot be split.
        OSError: it cannot be read.
    """
    if scene.stat().st_size > _MOST_BYTES:
        raise SceneError(
            f"{scene.name} is larger than {_MOST_BYTES >> 20} MB, which is too large for a Nuke"
            " script."
        )
    try:
        text = scene.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SceneError(f"{scene.name} is not a Nuke script: it is not text.") from None
    lines = text.splitlines(keepends=True)
    views = _views(text)
    writes = list(islice(_writes(lines), _MOST_WRITES + 1))
    if len(writes) > _MOST_WRITES:
        raise SceneError(f"{scene.name} has more than {_MOST_WRITES} Write nodes.")
    found = [each for each in writes if each.own_name]
    _check_names(found)
    chosen = _choose(found, values.get("write_nodes", ""))
    patterns = []
    for node in chosen:
        base = _base_name(node)
        folder = f"{node.name}/" if len(chosen) > 1 else ""
        for name in _names(base, _written(node, views)):
            patterns.append((f"{node.name}/{name}", f"{folder}{name}"))
        if len(patterns) > _MOST_PATTERNS:
            raise SceneError(
                f"{scene.name} writes more than {_MOST_PATTERNS} files per frame. Name fewer"
                " Write nodes in write_nodes, or let them write fewer views."
            )
        target = f' file "{partial / node.name / base}"\n'
        if node.file_line is None:
            lines[node.first] += target
        else:
            lines[node.file_line] = target
    values_ = {"write_nodes": ",".join(node.name for node in chosen)}
    copy = "".join(lines)
    return SceneFiles(scene, values_, tuple(patterns), copied="SceneFile", text=copy)


def _writes(lines: list[str]) -> Iterator[_Write]:
    node: _Write | None = None
    indent = end = ""
    # (indent, name) of the last node of each depth: what is deeper than a group belongs to it.
    above: list[tuple[str, str]] = []
    for number, line in enumerate(lines):
        if node is None:
            if match := _NODE.match(line):
                indent, end = match["indent"], match["indent"] + "}"
                while above and len(above[-1][0]) >= len(indent):
                    above.pop()
                if len(above) >= _MOST_DEEP:
                    raise SceneError(
                        f"The script has groups nested more than {_MOST_DEEP} deep. Flatten"
                        " some of them."
                    )
                if match["kind"] == "Write":
                    node = _Write(number, tuple(name for _, name in above), {})
                else:
                    above.append((indent, ""))
            elif above and above[-1] == (indent, "") and (match := _NAME_KNOB.match(line)):
                above[-1] = (indent, match["name"])
        elif line.rstrip() == end:
            yield node
            node = None
        elif match := _KNOB.match(line):
            node.knobs.setdefault(match["name"], match["value"].rstrip().strip('"'))
            if match["name"] == "file" and node.file_line is None:
                node.file_line = number


def _views(text: str) -> list[str]:
    """Return the names of a script's views: lines of a name and a colour in a knob of Root."""
    root = _ROOT.search(text)
    end = _ROOT_END.search(text, root.end()) if root else None
    found = _VIEWS.search(text, root.end(), end.start()) if root and end else None
    lines = found["views"].replace("\\n", "\n").splitlines() if found else []
    names = list(dict.fromkeys(line.split()[0] for line in lines if line.strip())) or [_ONE_VIEW]
    if len(names) > _MOST_VIEWS:
        raise SceneError(f"The script has more than {_MOST_VIEWS} views. Delete some of them.")
    for name in names:
        # It becomes part of a file's name.
        if not _NAME.fullmatch(name):
            raise SceneError(f"'{name[:60]}' is not the name of a view.")
    return names


def _written(node: _Write, views: list[str]) -> list[str]:
    """Return the views that a node writes: all, unless it names some."""
    named = set(re.findall(r"[^\s{}]+", node.knobs.get("views", "")))
    return [view for view in views if view in named] or views


def _names(base: str, views: list[str]) -> list[str]:
    """Return what the files of some views are called."""
    names = dict.fromkeys(base.replace("%V", view).replace("%v", view[0]) for view in views)
    for name in names:
        try:
            check_segment(name.rpartition("/")[2])
        except UnsafePathError as error:
            raise SceneError(f"The name of a view makes a bad file name: {error}") from None
    return list(names)


def _check_names(found: list[_Write]) -> None:
    """Raise SceneError for names that only Nuke could tell apart, or that are no names at all."""
    for node in found:
        # It becomes the name of a folder: nothing in a script may lead anywhere else.
        if not all(map(_NAME.fullmatch, (*node.groups, node.own_name))):
            raise SceneError(f"'{node.name[:60]}' is not the name of a Write node.")
        if len(node.name) > _LONGEST_NAME:
            raise SceneError(
                f"The Write node '{node.name[:60]}...' has more than {_LONGEST_NAME}"
                " characters in its name and those of its groups."
                " Shorten the name of the node or of its groups."
            )
    times = Counter(node.name for node in found)
    double = next((name for name, count in times.items() if count > 1), "")
    if double:
        raise SceneError(f"Two Write nodes are called '{double}'. Rename one of them.")


def _choose(found: list[_Write], wanted: str) -> list[_Write]:
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if not names:
        chosen = [each for each in found if each.knobs.get("disable", "") not in _ON]
        if not chosen:
            raise SceneError("The script has no Write node that is enabled.")
        return chosen
    alone = Counter(each.own_name for each in found)
    known = {each.own_name: each for each in found if alone[each.own_name] == 1}
    known |= {each.name: each for each in found}
    unknown = [name for name in names if name not in known]
    if unknown:
        there = ", ".join(each.name for each in found) or "none"
        raise SceneError(f"The script has no Write node '{unknown[0]}'. It has: {there}.")
    return list({known[name].name: known[name] for name in names}.values())


def _base_name(node: _Write) -> str:
    """Return the name of a node's files, with ``#`` in place of the frame's number.

    Where the views have files of their own, ``%V`` or ``%v`` stays in it.
    """
    path = node.knobs.get("file", "").replace("\\", "/")
    name = PurePosixPath(path).name
    view = found[-1] if (found := _VIEW.findall(path)) else ""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _MOVIES:
        raise SceneError(
            f"The Write node '{node.name}' writes a movie, which cannot be rendered frame by"
            " frame. Write images, and make the movie from them afterwards (ffmpeg,"
            " transcode)."
        )
    frames = list(_FRAME.finditer(name))
    if not suffix or any(sign in name for sign in ("[", "]", "$", "{", "}")):
        # An expression: only Nuke knows what it becomes.
        extension = _EXTENSIONS.get(node.knobs.get("file_type", "").strip(), "exr")
        return f"{node.name}{'_' * bool(view)}{view}.####.{extension}"
    if frames:
        digits = frames[-1]["digits"]
        count = int(digits) if digits else len(frames[-1][0].replace("%d", "#"))
        name = name[: frames[-1].start()] + "#" * max(1, count) + name[frames[-1].end() :]
    else:
        name = f"{PurePosixPath(name).stem}.####{PurePosixPath(name).suffix}"
    try:
        check_segment(name)
    except UnsafePathError as error:
        raise SceneError(f"The Write node '{node.name}' names a bad file: {error}") from None
    # The views' folders, when these are what tells their files apart.
    return name if not view or _VIEW.search(name) else f"{view}/{name}"
