"""Find Blender: a configured one, else ``blender`` on the PATH, else a Python that has ``bpy``.

Always asked in a subprocess: importing bpy costs a second and 270 MB, and a broken one can take the
whole process with it.
"""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_ASK_SECONDS = 60.0
"""A first start from a cold network disk is slow; a healthy one answers in about a second."""

_VERSION_LINE = re.compile(r"^Blender (\d+\.\d+\.\d+)", re.MULTILINE)
_IMPORT = "import bpy; print('Blender', bpy.app.version_string)"
_HAS_BPY = "import importlib.metadata as m; print(m.version('bpy'))"


class RendererError(Exception):
    """A renderer that was asked for cannot be used. ``str()`` is a sentence for people."""


@dataclass(frozen=True)
class Renderer:
    """A renderer that was started once and answered.

    Attributes:
        app: short product code, as in the catalogue.
        version: three numbers, such as ``3.4.1``.
        kind: ``blender`` is Blender's executable, ``bpy`` a Python that can import it.
        command: absolute path of the program.
        how_found: for people, such as "on the PATH".
    """

    app: str
    version: str
    kind: Literal["blender", "bpy"]
    command: tuple[str, ...]
    how_found: str


def find_renderers(blender: str | None = None) -> list[Renderer]:
    """Return every renderer found, in the order of preference; see `iter_renderers`."""
    return list(iter_renderers(blender))


def iter_renderers(blender: str | None = None) -> Iterator[Renderer]:
    """Yield renderers in the order of preference, looking no further than is asked for.

    Parameters:
        blender: a configured path: of a Blender or of a Python that has bpy. Then it is the only
            one: who names a Blender means it.

    Raises:
        RendererError: the configured path does not work.
    """
    if blender:
        yield _configured(blender)
        return
    found = shutil.which("blender")
    if found and (renderer := _ask_blender(found, "on the PATH")):
        yield renderer
    if renderer := _own_bpy():
        yield renderer
    python = shutil.which("python3")
    if python and not _same(python, sys.executable) and (renderer := _other_bpy(python)):
        yield renderer


def choose(renderers: Iterable[Renderer], app: str, version: str) -> Renderer | None:
    """Return the renderer for a product version: the same, else one of the same series (3.4).

    None when there is none: another series may draw another picture, so it is never taken.

    Parameters:
        version: as submitted; "" when any will do.
    """
    same_series: Renderer | None = None
    for renderer in renderers:
        if renderer.app != app:
            continue
        if not version or renderer.version == version:
            return renderer
        if renderer.version.split(".")[:2] == version.split(".")[:2]:
            same_series = same_series or renderer
    return same_series


def _configured(text: str) -> Renderer:
    how = f"configured as {text}"
    path = shutil.which(Path(text).expanduser())
    if path is None:
        raise RendererError(f"The configured Blender '{text}' is not an executable file.")
    renderer = _ask_bpy(path, how) if _is_python(path) else _ask_blender(path, how)
    if renderer is None:
        raise RendererError(
            f"The configured Blender '{text}' does not answer '--version' as Blender does"
            " (nor is it a Python that has bpy)."
        )
    return renderer


def _is_python(path: str) -> bool:
    return Path(path).name.startswith("python")


def _ask_blender(path: str, how: str) -> Renderer | None:
    return _renderer("blender", path, _output([path, "--version"]), how)


def _own_bpy() -> Renderer | None:
    """Return this interpreter's bpy. Its metadata is read first: an absent one costs nothing."""
    try:
        importlib.metadata.version("bpy")
    except importlib.metadata.PackageNotFoundError:
        return None
    return _ask_bpy(sys.executable, "bpy in the farm's own Python")


def _other_bpy(python: str) -> Renderer | None:
    if not _output([python, "-s", "-c", _HAS_BPY]):
        return None
    return _ask_bpy(python, f"bpy in {python}")


def _ask_bpy(python: str, how: str) -> Renderer | None:
    # Metadata alone can lie: a missing system library shows only when bpy is imported.
    return _renderer("bpy", python, _output([python, "-s", "-c", _IMPORT]), how)


def _renderer(kind: Literal["blender", "bpy"], path: str, said: str, how: str) -> Renderer | None:
    match = _VERSION_LINE.search(said)
    if match is None:
        return None
    # Not resolve(): a virtual environment's python is a link and must be started by its own name.
    return Renderer("blender", match[1], kind, (str(Path(path).absolute()),), how)


def _output(command: list[str]) -> str:
    """Return what a program prints; "" when it fails. Started in /, so that `-c` imports no file
    that happens to lie in the current folder."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            cwd=Path(sys.executable).anchor,
            check=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _same(one: str, other: str) -> bool:
    return Path(one).absolute() == Path(other).absolute()
