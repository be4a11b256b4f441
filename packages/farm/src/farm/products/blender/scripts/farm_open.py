"""Open a .blend, and hear what Blender says about it only by printing."""

import os
import re
import tempfile

import bpy
from farm_events import SceneError, flush

# Names in a .blend have up to 63 bytes; without a limit, each quote would be looked for to the end.
_NO_ENGINE = re.compile(r"Engine '(.{0,99}?)' not available for scene '(.{0,99}?)' \(")


def open_file(path: str, shown: str) -> "dict[str, str]":
    """Open a file; return the engines that this Blender lacks: scene name -> engine.

    Such a scene would be rendered by another engine than its artist's.

    Parameters:
        shown: the path as people know it.

    Raises:
        SceneError: it does not open.
    """
    flush()
    with tempfile.TemporaryFile() as printed:
        # A file, since nobody could empty a pipe meanwhile: Blender keeps Python's lock.
        log = os.dup(1)
        os.dup2(printed.fileno(), 1)
        try:
            # use_scripts=False: Python inside the scene does not run by itself.
            bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=False)
        except RuntimeError as error:
            raise SceneError(_unreadable(shown, str(error).replace(path, shown))) from None
        finally:
            flush()
            os.dup2(log, 1)
            os.close(log)
            printed.seek(0)
            said = printed.read()
            os.write(1, said)
    found = _NO_ENGINE.findall(said.decode("utf-8", "backslashreplace"))
    return {scene: engine for engine, scene in found}


def _unreadable(shown: str, error: str) -> str:
    """Say why a .blend does not open. The header names the version that wrote it."""
    version = bpy.app.version_string
    if "newer" in error.lower():
        return f"{shown} was saved by a newer Blender than the farm's {version}."
    lines = [line for line in error.replace("Error: ", "").splitlines() if line.strip()]
    detail = lines[-1].strip() if lines else "no reason was given"
    return (
        f"Blender {version} cannot open {shown}: the file is damaged, is not a Blender file, or was"
        f" saved by a newer Blender ({detail.rstrip('.')})."
    )
