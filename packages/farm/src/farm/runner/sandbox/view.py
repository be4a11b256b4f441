"""What a renderer sees of this machine in its sandbox: its own program, and what its job needs.

Folders with private files are never shown, whatever names them: the farm's data, and the home
folder of its user.
"""

import json
import logging
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from farm.confine import SYSTEM, View
from farm.confine.python import interpreter_folders, own_python
from farm.products import SHARED, Template
from farm.renderers import Renderer, chosen
from farm.runner.workplace import Workplace

log = logging.getLogger("farm.runner")

_SHALLOW = 3
"""Parts of a path such as /opt/bin, whose neighbours are not the program's."""
_GPU_DEVICES = ("nvidia*", "dri", "kfd")
_ASK_SECONDS = 60.0
_WHERE_BPY_IS = (
    "import importlib.util as u, json, sys;"
    "print(json.dumps([sys.prefix, sys.base_prefix, u.find_spec('bpy').origin]))"
)


def view_of(
    place: Workplace, renderer: Renderer, template: Template, gpu: bool, plugins: Sequence[str]
) -> View:
    """Return what the renderers of a job see.

    Parameters:
        gpu: whether the job uses this machine's GPUs.
        plugins: the job's own, ``<code>`` or ``<code>:<version>``.
    """
    # The farm's on this machine, whose data folder contains the work folder; and its user's.
    private = {place.root.parent.parent.resolve(), *_home()}
    picked, needs = chosen(renderer.found, plugins), template.needs_of(plugins)
    others = [each.program for each in picked if each.program is not None]
    own, links = _programs([renderer, *others], private)
    if template.python:
        own += own_python()
    own += [each.folder for each in picked if each.program is None]
    # A colour configuration names tables beside it.
    own += [each.parent for each in renderer.colours]
    named = [*template.visible, *(name for plugin in needs for name in plugin.folders)]
    own += [*_places(named, private), template.scripts, SHARED]
    return View(
        readable=(
            place.orders,
            *(
                path
                for path in dict.fromkeys(own)
                if path.exists() and not seen(path, SYSTEM) and not _opens(path, private)
            ),
        ),
        writable=(place.written, place.home, place.project),
        links=tuple(links),
        hidden=tuple(
            folder
            for folder in sorted(private)
            if any(folder != each and folder.is_relative_to(each) for each in SYSTEM)
        ),
        devices=tuple(
            path for each in _GPU_DEVICES * gpu for path in sorted(Path("/dev").glob(each))
        ),
        gpu=gpu,
        folder=place.home,
    )


def seen(path: Path, folders: Iterable[Path]) -> bool:
    """Return whether a path is one of these folders, or inside one."""
    return any(path.is_relative_to(each) for each in folders)


def _programs(
    renderers: Iterable[Renderer], private: Iterable[Path]
) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """Return the files and folders of programs, and the links that start them."""
    own: list[Path] = []
    links: list[tuple[Path, Path]] = []
    for renderer in renderers:
        program = Path(renderer.command[0])
        if renderer.kind == "bpy":
            own += _python_folders(program)
            continue
        resolved = program.resolve()
        folder = _root(resolved.parent)
        if _holds(folder, private):
            # Such a folder also has other people's files; these are the needed ones.
            own += [resolved, *(resolved.parent / name for name in renderer.needs)]
        else:
            own.append(folder)
        if program != resolved and not seen(program, [*SYSTEM, *own]):
            links.append((program, resolved))
    return own, links


def _root(folder: Path) -> Path:
    """Return where a program is installed: it also needs the neighbours of its folder ``bin``."""
    return folder.parent if folder.name == "bin" and len(folder.parts) > _SHALLOW else folder


def _holds(path: Path, private: Iterable[Path]) -> bool:
    """Return whether a private folder is this one, or inside it."""
    resolved = path.resolve()
    return any(each.is_relative_to(resolved) for each in private)


def _opens(path: Path, private: Iterable[Path]) -> bool:
    if not _holds(path, private):
        return False
    log.warning("The sandbox hides %s: it holds private files of this machine.", path)
    return True


def _places(named: Iterable[str], private: Iterable[Path]) -> list[Path]:
    """Return the files and folders named by an environment variable, or the path itself."""
    found = []
    for name in named:
        texts = [name] if name.startswith("/") else os.environ.get(name, "").split(os.pathsep)
        # A licence may also be a server, port@host: that is not a path.
        paths = [Path(text) for text in texts if text.startswith("/")]
        # A colour configuration names tables beside it.
        beside = [path.suffix == ".ocio" and not _holds(path.parent, private) for path in paths]
        found += [path.parent if all_ else path for path, all_ in zip(paths, beside, strict=True)]
    return found


def _home() -> list[Path]:
    """Return the user's home and data folder, since programs are installed beside the latter."""
    try:
        home = Path.home().resolve()
    except RuntimeError:
        return []  # This user has no home.
    return [home, home / ".local" / "share"]


def _python_folders(python: Path) -> list[Path]:
    """Return the folders of a Python with bpy, of its base Python, and of bpy itself."""
    try:
        output = subprocess.run(
            [str(python), "-s", "-c", _WHERE_BPY_IS],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            check=True,
            cwd="/",
        ).stdout
        prefix, base_prefix, origin = map(Path, json.loads(output))
    except (subprocess.SubprocessError, ValueError) as error:
        log.warning("%s did not say where bpy is: %s", python, error)
        return []
    return [*interpreter_folders(python, prefix, base_prefix), origin.parent.parent]
