"""Blender as a Python module: a Python that can import ``bpy``.

Always checked in a subprocess: importing bpy costs a second and 270 MB, and a broken one can crash
the whole process.
"""

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from farm.renderers.ask import ask
from farm.renderers.places import Places
from farm.renderers.renderer import Renderer
from farm.renderers.versions import version_in

_VERSION = re.compile(r"^Blender (\d+\.\d+\.\d+)", re.MULTILINE)
_COLOURS = re.compile(r"^Colours (.+)$", re.MULTILINE)
_IMPORT = (
    "import bpy; print('Blender', bpy.app.version_string);"
    "u = getattr(bpy, 'utils', None);"
    "print('Colours', u and u.system_resource('DATAFILES', path='colormanagement'))"
)
_HAS_BPY = "import importlib.metadata as m; print(m.version('bpy'))"


def iter_bpy(places: Places) -> Iterator[Renderer]:
    """Yield the bpy of this Python, then that of the ``python3`` on the PATH."""
    if (own := _own()) is not None:
        yield own
    for python in places.on_path("python3"):
        if python.absolute() != Path(sys.executable).absolute() and ask(
            [str(python), "-s", "-c", _HAS_BPY]
        ):
            found = ask_bpy(python, f"bpy in {python}")
            if found is not None:
                yield found


def ask_bpy(python: Path, how: str) -> Renderer | None:
    """Return a Python as a renderer; None when it cannot import bpy.

    Metadata alone can lie: a missing system library shows only when bpy is imported.

    Parameters:
        how: becomes `Renderer.how_found`.
    """
    output = ask([str(python), "-s", "-c", _IMPORT])
    version = version_in(_VERSION, output) if output is not None else None
    if version is None:
        return None
    # Not resolve(): a virtual environment's python is a link and must be started by its own name.
    return Renderer(
        "blender", version, "bpy", (str(python.absolute()),), how, colours=_colours(output or "")
    )


def _colours(output: str) -> tuple[Path, ...]:
    match = _COLOURS.search(output)
    config = Path(match[1]) / "config.ocio" if match else None
    return (config,) if config is not None and config.is_file() else ()


def _own() -> Renderer | None:
    """Return this interpreter's bpy. Its metadata is read first: an absent one costs nothing."""
    try:
        importlib.metadata.version("bpy")
    except importlib.metadata.PackageNotFoundError:
        return None
    return ask_bpy(Path(sys.executable), "bpy in the farm's own Python")
