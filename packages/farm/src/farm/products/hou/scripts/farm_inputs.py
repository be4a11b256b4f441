"""Checks that the files exist to which the scene refers, once before the first frame.

Houdini renders a missing texture in black or not at all, and says so only on the node. Not covered:
references inside digital assets or USD layers.
"""

import glob
import os
import re
from typing import Any

import hou
from farm_nodes import PATH_PARMS, base_type

_SHOWN = 10
"""Most missing files that one message lists."""

_NOT_FILES = re.compile(r"(op|opdef|oplib|temp|anon|https?|ftp|shop|mat):|\*|\?")
_TILES = re.compile(r"<udim>|<uvtile>|%\(udim\)d|%\(uvtile\)d|\$\{?SF\d*\}?", re.IGNORECASE)


def missing_files(project: str, redirected: "set[str]") -> "list[str]":
    """Return referenced files that are missing at the current frame, sorted.

    Parameters:
        project: those inside this folder are named relative to it.
        redirected: paths of the parameters that hold our own outputs.
    """
    missing = set()
    for parm, text in hou.fileReferences():
        if parm is not None and (parm.path() in redirected or _is_output(parm)):
            continue
        path = _expanded(parm, text)
        if path and not _NOT_FILES.match(path) and not _exists(path):
            missing.add(_shown(os.path.normpath(path), project))
    return sorted(missing)


def message(missing: "list[str]") -> str:
    """Return one message that lists missing files."""
    listed = ", ".join(missing[:_SHOWN])
    if len(missing) > _SHOWN:
        listed += f" and {len(missing) - _SHOWN} more"
    if len(missing) == 1:
        return f"The scene refers to a file that is missing: {listed}."
    return f"The scene refers to {len(missing)} files that are missing: {listed}."


def _is_output(parm: Any) -> bool:
    node = parm.node()
    # Render nodes elsewhere, such as caches in geometry networks, are recognised by their type.
    is_output = bool(parm.name() == PATH_PARMS.get(base_type(node)))
    return is_output or bool(node.type().category().name() == "Driver")


def _expanded(parm: Any, text: str) -> str:
    # Only the parameter can expand $OS and relative expressions.
    return str(parm.evalAsString() if parm is not None else hou.expandString(text))


def _exists(path: str) -> bool:
    if not os.path.isabs(path):
        path = os.path.join(os.path.dirname(hou.hipFile.path()), path)
    if os.path.exists(path):
        return True
    # Any tile will do; glob must not interpret brackets in folders.
    parts = [glob.escape(part) for part in _TILES.split(path)]
    return len(parts) > 1 and bool(glob.glob("*".join(parts)))


def _shown(path: str, project: str) -> str:
    relative = os.path.relpath(path, project)
    return path if relative.startswith("..") else relative.replace(os.sep, "/")
