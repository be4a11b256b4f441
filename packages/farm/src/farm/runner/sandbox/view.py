"""What of this machine a renderer sees in its sandbox: its own program, and what its job needs.

Nothing in which private files lie is shown, whatever names it: the farm's data, and the home folder
of its user.
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
"""Parts of a path such as /opt/bin: what lies beside that is not the program's."""
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
        gpu: whether the job uses the GPUs of this machine.
        plugins: the job's own, ``<code>`` or ``<code>:<version>``.
    """
    # Of the farm on this machine, whose data folder holds the work folder; and of its user.
    private = {place.root.parent.parent.resolve(), *_home()}
    picked, needs = chosen(renderer.found, plugins), template.needs_of(plugins)
    others = [each.program for each in picked if each.program is not None]
    own, links = _programs([renderer, *others], private)
    if template.python:
        own += own_python()
    own += [each.folder for each in picked if each.program is None]
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
    """Return whether a path is one of these folders, or lies in one."""
    return any(path.is_relative_to(each) for each in folders)


def _programs(
    renderers: Iterable[Renderer], private: Iterable[Path]
) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """Return the files and folders of programs, and the links by which they are started."""
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
            # Beside a program in such a folder lie somebody's own things; these are what it needs.
            own += [resolved, *(resolved.parent / name for name in renderer.needs)]
        else:
            own.append(folder)
        if program != resolved and not seen(program, [*SYSTEM, *own]):
            links.append((program, resolved))
    return own, links


def _root(folder: Path) -> Path:
    """Return where a program is installed: it needs what lies beside its folder ``bin``, too."""
    return folder.parent if folder.name == "bin" and len(folder.parts) > _SHALLOW else folder


def _holds(path: Path, private: Iterable[Path]) -> bool:
    """Return whether a private folder is this one, or lies in it."""
    resolved = path.resolve()
    return any(each.is_relative_to(resolved) for each in private)


def _opens(path: Path, private: Iterable[Path]) -> bool:
    if not _holds(path, private):
        return False
    log.warning("The sandbox hides %s: it holds private files of this machine.", path)
    return True


def _places(named: Iterable[str], private: Iterable[Path]) -> list[Path]:
    """Return the files and folders that are meant: by a variable of the environment, or a path."""
    found = []
    for name in named:
        texts = [name] if name.startswith("/") else os.environ.get(name, "").split(os.pathsep)
        # A licence may also be a server, port@host: that is no path.
        paths = [Path(text) for text in texts if text.startswith("/")]
        # A colour configuration names tables that lie beside it.
        beside = [path.suffix == ".ocio" and not _holds(path.parent, private) for path in paths]
        found += [path.parent if all_ else path for path, all_ in zip(paths, beside, strict=True)]
    return found


def _home() -> list[Path]:
    """Return the user's folder and, since programs are installed beside it, that of their data."""
    try:
        home = Path.home().resolve()
    except RuntimeError:
        return []  # This user has none.
    return [home, home / ".local" / "share"]


def _python_folders(python: Path) -> list[Path]:
    """Return where a Python with bpy, the one that it was made from, and bpy itself lie."""
    try:
        said = subprocess.run(
            [str(python), "-s", "-c", _WHERE_BPY_IS],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            check=True,
            cwd="/",
        ).stdout
        prefix, base_prefix, origin = map(Path, json.loads(said))
    except (subprocess.SubprocessError, ValueError) as error:
        log.warning("%s did not say where bpy is: %s", python, error)
        return []
    return [*interpreter_folders(python, prefix, base_prefix), origin.parent.parent]
