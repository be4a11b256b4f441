"""Where the node's files go: into the partial folder while they grow, then to the output folder."""

import argparse
import glob
import os
import re
from typing import Any

import hou
from farm_events import SceneError, warn
from farm_nodes import PATH_PARMS, base_type
from farm_parameters import is_wanted, matches
from farm_scene import set_value

_EXTENSION = re.compile(
    # "bgeo.sc" is one extension; a part that begins with a digit or "$" is a frame number.
    r"(\.(?:bgeo|geo|bjson|json|ass|rs|sim)\.(?:sc|gz|bz2|lzma)|\.[A-Za-z][A-Za-z0-9]*)\Z"
)
_RENDERERS_OWN = re.compile(r"%\([^()%]*\)\w|%\d*\w|<[^<>]+>")
"""What the renderer, not Houdini, replaces in a name: tiles and views."""

_VIEWERS = ("", "ip", "md")
"""Output "paths" that are a viewer, not a file."""

_EXTENSIONS = {"sopoutput": ".bgeo.sc", "file": ".bgeo.sc", "dopoutput": ".sim", "filename": ".abc"}
"""Parameter -> extension where neither scene nor job names one; ``.exr`` of all others."""


class Outputs:
    """All files that a render writes.

    Attributes:
        folder: of the node's own files, inside the partial folder.
        one_per_frame: whether each frame has a file of its own; always, unless rendered whole.
        parm_paths: the parameters that were redirected.
    """

    def __init__(self, node: Any, options: argparse.Namespace, frames: "list[int]") -> None:
        """Redirect the output parameters. Raises SceneError when one cannot be redirected."""
        self._target, self._patterns = options.output, [str(text) for text in options.upload]
        disk = {name: str(value) for name, value in options.disk.items() if value is not None}
        parm = _path_parm(node, disk.get("path_parm") or PATH_PARMS.get(base_type(node), ""))
        name = _with_extension(_name(parm, disk.get("path", "")), parm, disk.get("ext", ""))
        self._main = _Redirect(parm, os.path.join(options.partial, "main"), name, frames[0])
        if options.whole != "true" and not self._main.numbered:
            stem, extension = _split(name)
            warn(f"The output {name} has no frame number, so it becomes {stem}.$F4{extension}.")
            numbered = f"{stem}.$F4{extension}"
            self._main = _Redirect(parm, self._main.folder, numbered, frames[0])
        self.folder, self.one_per_frame = self._main.folder, self._main.numbered
        self._extra = {}  # type: dict[str, _Redirect]
        for path in options.outputs:
            full = path if "/" in path else f"{node.path()}/{path}"
            parm = hou.parm(full)
            if parm is None:
                raise SceneError(f"The scene has no parameter {full} (project_param_output).")
            place = f"{parm.node().name()}_{parm.name()}"
            folder = os.path.join(options.partial, "extra", place)
            self._extra[place] = _Redirect(parm, folder, _name(parm, ""), frames[0])
        redirects = [self._main, *self._extra.values()]
        self.parm_paths = {redirect.parm.path() for redirect in redirects}

    def written(self, frame: int) -> bool:
        """Whether the frame's own file is there: named as the scene names it, or longer."""
        return bool(self._main.files_of(frame))

    def deliver(self, frame: int) -> "tuple[list[str], list[str]]":
        """Move the files that carry the frame's name. Return (files, extra), output-relative.

        Raises:
            SceneError: ``output_upload`` selects none of the frame's files.
        """
        files = self._move(self._main, self._main.files_of(frame), "")
        extra = []
        for place, redirect in self._extra.items():
            if redirect.numbered:
                extra += self._move(redirect, redirect.files_of(frame), place, optional=True)
        return files, extra

    def deliver_all(self) -> "tuple[list[str], list[str]]":
        """Move every file that is there, whatever its name. Return (files, extra).

        Raises:
            SceneError: ``output_upload`` selects none of the node's files.
        """
        files = self._move(self._main, self._main.files(), "")
        return files, self.deliver_rest()

    def deliver_rest(self) -> "list[str]":
        """Move what no frame has claimed, as extra files: further images, files without number."""
        extra = self._move(self._main, self._main.files(), "", optional=True)
        for place, redirect in self._extra.items():
            extra += self._move(redirect, redirect.files(), place, optional=True)
        return extra

    def _move(
        self, redirect: "_Redirect", names: "list[str]", place: str, optional: bool = False
    ) -> "list[str]":
        """Rename wanted files into the output folder, below ``place``; remove the others."""
        delivered = []
        for name in names:
            source = os.path.join(redirect.folder, name)
            if not is_wanted(name, self._patterns):
                os.remove(source)  # else the next frame would find it
                continue
            relative = f"{place}/{name}" if place else name
            target = os.path.join(self._target, relative)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(source, target)
            delivered.append(relative)
        if names and not delivered and not optional:
            raise SceneError(
                f"The render writes {', '.join(names)}, but output_upload asks for"
                f" {', '.join(self._patterns)} only, so nothing would be delivered."
            )
        return delivered


class _Redirect:
    """One parameter with an output path, sent into a folder of its own.

    Attributes:
        numbered: whether the file name depends on the frame.
    """

    def __init__(self, parm: Any, folder: str, name: str, frame: int) -> None:
        """Set the parameter; ``name`` is as in Houdini, with ``$F4``. Raises SceneError."""
        self.parm, self.folder = parm, folder
        os.makedirs(folder, exist_ok=True)
        set_value(parm, f"{folder}/{name}")
        path = parm.evalAsStringAtFrame(frame)
        if os.path.dirname(os.path.normpath(path)) != os.path.normpath(folder):
            # A variable or expression in the name stands for folders.
            raise SceneError(
                f"The output path {name} of {parm.path()} does not end with a plain file"
                " name. Give one with disk_output_path."
            )
        self.numbered = bool(path != parm.evalAsStringAtFrame(frame + 1))

    def files(self) -> "list[str]":
        """Return all files in the folder, relative to it, sorted."""
        return sorted(
            os.path.relpath(os.path.join(parent, name), self.folder).replace(os.sep, "/")
            for parent, _, names in os.walk(self.folder)
            for name in names
        )

    def files_of(self, frame: int) -> "list[str]":
        """Return the files with the frame's name; some renderers add an extension to it."""
        name = os.path.basename(self.parm.evalAsStringAtFrame(frame))
        pattern = "?*".join(glob.escape(part) for part in _RENDERERS_OWN.split(name))
        return [
            file
            for file in self.files()
            if matches(file, pattern) or matches(file, f"{pattern}.?*")
        ]


def _path_parm(node: Any, name: str) -> Any:
    if not name:
        raise SceneError(
            f"The farm does not know where a node of type {node.type().name()} keeps its output"
            " path. Name the parameter with disk_output_path_parm."
        )
    parm = node.parm(name)
    if parm is None:
        raise SceneError(f"The node {node.path()} has no parameter {name} for its output path.")
    return parm


def _name(parm: Any, given: str) -> str:
    """Return the file name of an output path, its variables and expressions unevaluated."""
    if given:
        return _base_name(given)
    # A channel reference stands for another parameter's text.
    source = parm.getReferencedParm()
    try:
        raw = source.unexpandedString()
    except hou.OperationFailed:
        raise SceneError(
            f"The output path {parm.path()} is an expression. Give a file name with"
            " disk_output_path, such as 'beauty.$F4.exr'."
        ) from None
    if raw not in _VIEWERS:
        return _base_name(raw)
    name = f"$HIPNAME.$OS.$F4{_EXTENSIONS.get(parm.name(), '.exr')}"
    warn(f"{parm.path()} does not name a file, so frames are rendered to {name}.")
    return name


def _base_name(path: str) -> str:
    """Return what follows the last "/" that is not inside a `backtick expression`."""
    start, inside = 0, False
    for position, character in enumerate(path):
        if character == "`":
            inside = not inside
        elif character == "/" and not inside:
            start = position + 1
    return path[start:]


def _split(name: str) -> "tuple[str, str]":
    match = _EXTENSION.search(name)
    return (name[: match.start()], match[1]) if match else (name, "")


def _with_extension(name: str, parm: Any, extension: str) -> str:
    if not name:
        raise SceneError(
            f"The output path of {parm.path()} is a folder. Give a file name with disk_output_path."
        )
    return f"{_split(name)[0]}.{extension.lstrip('.')}" if extension else name
