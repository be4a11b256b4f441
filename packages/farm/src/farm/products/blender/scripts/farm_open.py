"""Opens a .blend, and captures what Blender reports about it only by printing."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import bpy
import farm_colours
import farm_mapping
from farm_events import SceneError, flush

# Names in a .blend have up to 63 bytes; without a limit, each quote would cost a search to the end.
_NO_ENGINE = re.compile(r"Engine '(.{0,99}?)' not available for scene '(.{0,99}?)' \(")
_GONE = re.compile(
    r"\bLIB: ([A-Z][\w ]{0,40}): '(.{0,99}?)' missing from '([^\n]{0,1100}?)', parent '"
)
_DROPPED = re.compile(r"\bOld override (.{1,99}?) is being deleted even though it was user-edited")


class Remarks(NamedTuple):
    """What Blender printed about an opened file.

    Attributes:
        lacking: engines that this Blender lacks: scene name -> engine. Such a scene would be
            rendered with another engine than its artist's.
        gone: linked blocks that are not in their library: kind, name, path of the library.
        dropped: overrides that no longer fit their library, by name.
        colours: what its colour management lacks.
    """

    lacking: "dict[str, str]"
    gone: "list[tuple[str, str, str]]"
    dropped: "list[str]"
    colours: farm_colours.Lacking


def open_file(path: str, shown: str, mapping: farm_mapping.Mapping) -> Remarks:
    """Open a file, with its libraries and files where they are here; return what it lacks.

    Parameters:
        shown: the path as people know it.

    Raises:
        SceneError: it does not open.
    """
    with _heard() as heard:
        try:
            # use_scripts=False: Python inside the scene is not run automatically.
            bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=False)
            mapping.link()
        except RuntimeError as error:
            raise SceneError(_unreadable(shown, str(error).replace(path, shown))) from None
    mapping.apply()
    output = heard[0]
    lacking = {scene: engine for engine, scene in _NO_ENGINE.findall(output)}
    # Remarks about a library before it was read from its place here.
    gone = [each for each in _GONE.findall(output) if each[2] not in mapping.relinked]
    dropped = list(dict.fromkeys(_DROPPED.findall(output)))
    return Remarks(lacking, gone, dropped, farm_colours.lacking(output))


@contextmanager
def _heard() -> "Iterator[list[str]]":
    """Yield a list that afterwards has what Blender printed meanwhile."""
    heard = []  # type: list[str]
    flush()
    with tempfile.TemporaryFile() as printed:
        # A file, since nobody could drain a pipe meanwhile: Blender holds Python's lock.
        log = os.dup(1)
        os.dup2(printed.fileno(), 1)
        try:
            yield heard
        finally:
            flush()
            os.dup2(log, 1)
            os.close(log)
            printed.seek(0)
            output = printed.read()
            os.write(1, output)
            heard.append(output.decode("utf-8", "backslashreplace"))


def _unreadable(shown: str, error: str) -> str:
    """Explain why a .blend does not open. Its header names the version that wrote it."""
    version = bpy.app.version_string
    if "newer" in error.lower():
        return f"{shown} was saved by a newer Blender than the farm's {version}."
    lines = [line for line in error.replace("Error: ", "").splitlines() if line.strip()]
    detail = lines[-1].strip() if lines else "no reason was given"
    return (
        f"Blender {version} cannot open {shown}: the file is damaged, is not a Blender file, or was"
        f" saved by a newer Blender ({detail.rstrip('.')})."
    )
