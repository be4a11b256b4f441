"""A sandbox around a renderer: bubblewrap's command line, and whether it works on this machine.

Inside, a scene's programs find the system's programs and libraries, the renderer's own and the
job's project, all read-only; they may write into the job's folders for results and for temporary
files, and nowhere else. There is no network, no other process, no device but the GPUs of a job that
wants them. Everything lies at its own path, so that no path needs to be translated.

`set_up` decides and looks at the machine; `command` is pure.
"""

import functools
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from farm.renderers import Renderer, chosen
from farm.runner.workplace import Workplace
from farm.templates import SHARED, PlugIn, Template

log = logging.getLogger("farm.runner")

Mode = Literal["auto", "required", "off"]
"""``auto``: a sandbox where there is one, else a warning; ``required``: no work without one."""

SYSTEM = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")))
_CONFIGURATION = (
    # No more of /etc: it tells who uses this machine, and may hold keys.
    "/etc/fonts",
    "/etc/ssl",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
)
_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")
_GPU = ("/sys", "/etc/OpenCL", "/etc/vulkan", "/opt/rocm")
"""What GPU drivers read: /sys describes the devices, the others name the drivers."""
_SHALLOW = 3
"""Parts of a path such as /opt/bin: what lies beside that is not the program's."""
_GPU_DEVICES = ("nvidia*", "dri", "kfd")

_ASK_SECONDS = 60.0
_LONGEST_REASON = 300
_WHERE_BPY_IS = (
    "import importlib.util as u, json, sys;"
    "print(json.dumps([sys.prefix, sys.base_prefix, u.find_spec('bpy').origin]))"
)


class SandboxError(Exception):
    """There is no sandbox although one is required. ``str()`` is a sentence for people."""


@dataclass(frozen=True)
class View:
    """What of this machine a renderer sees beside the system and its job.

    Attributes:
        readable: files and folders.
        links: symbolic links as (path, target).
        hidden: folders of the system that it must not see.
        devices: files and folders below /dev.
        gpu: whether it sees what GPU drivers need.
        network: whether it reaches the network.
    """

    readable: tuple[Path, ...]
    links: tuple[tuple[Path, Path], ...] = ()
    hidden: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    gpu: bool = False
    network: bool = False


@dataclass(frozen=True)
class Sandbox:
    """What was set up.

    Attributes:
        file: holds the command line to put in front of the renderer's, as a JSON list; None: the
            renderer runs without a sandbox.
        warning: what the job's owner must know; "" when all is well.
    """

    file: Path | None = None
    warning: str = ""


@functools.cache
def probe() -> str:
    """Return why bubblewrap does not work here, as a sentence; "" when it does. Asked once."""
    if sys.platform != "linux":
        return "bubblewrap exists only on Linux."
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "bubblewrap is not installed."
    return _trial([*_system(bwrap, View(readable=())), "true"], "bubblewrap does not work")


def complaint(mode: Mode) -> str:
    """Return what an operator must know of this machine, as a sentence; "" when all is well."""
    if mode == "off" or not (reason := probe()):
        return ""
    if mode == "required":
        return _unsandboxed(mode, reason)
    return f"{_trouble(reason)}: scenes run with the rights of the farm's user."


def set_up(
    mode: Mode,
    place: Workplace,
    renderer: Renderer,
    template: Template,
    gpu: bool,
    plugins: Iterable[str] = (),
) -> Sandbox:
    """Prepare the sandbox of a job's renderers.

    Parameters:
        gpu: whether the job uses the GPUs of this machine.
        plugins: the job's own, ``<code>`` or ``<code>:<version>``.

    Raises:
        SandboxError: the mode is ``required`` and there is none.
        OSError: the work folder cannot be written.
    """
    if mode == "off":
        log.info("The sandbox is switched off: the scene runs with this user's rights.")
        return Sandbox()
    reason = probe()
    if not reason:
        asked = list(plugins)
        folders = [each.folder for each in chosen(renderer.found, asked)]
        view = _view(place, renderer, template, gpu, template.needs_of(asked), folders)
        prefix = command(shutil.which("bwrap") or "bwrap", place, view)
        reason = _refusal(prefix, renderer, template)
        if not reason:
            file = place.root / "sandbox.json"
            file.write_text(json.dumps(prefix), encoding="utf-8")
            return Sandbox(file)
    if mode == "required":
        raise SandboxError(_unsandboxed(mode, reason))
    warning = _unsandboxed(mode, reason)
    log.warning("%s", warning)
    return Sandbox(warning=warning)


def command(bwrap: str, place: Workplace, view: View) -> list[str]:
    """Return the command line that a renderer's own is to follow.

    Parameters:
        bwrap: path of bubblewrap.
    """
    line = _system(bwrap, view)
    for folder in view.hidden:
        line += ["--tmpfs", str(folder)]
    # Parents first: a mount hides what was mounted below its place before.
    for path in sorted({*view.readable, place.project, place.orders}):
        line += ["--ro-bind", str(path), str(path)]
    for path, target in view.links:
        line += ["--symlink", str(target), str(path)]
    for folder in (place.written, place.home):
        line += ["--bind", str(folder), str(folder)]
    return [*line, "--remount-ro", "/", "--chdir", str(place.home), "--"]


def _system(bwrap: str, view: View) -> list[str]:
    """Return the part that is the same for all jobs: namespaces, system, devices."""
    line = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    line += ["--hostname", "render"]
    if view.network:
        line += ["--share-net"]
    paths = [*SYSTEM, *_CONFIGURATION, *(_NETWORK * view.network), *(_GPU * view.gpu)]
    for path in map(str, paths):
        line += ["--ro-bind-try", path, path]
    line += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - its own
    # Blender lists its mounts, and complains in the log when it cannot.
    line += ["--symlink", "/proc/self/mounts", "/etc/mtab"]
    for device in view.devices:
        line += ["--dev-bind", str(device), str(device)]
    return line


def _view(
    place: Workplace,
    renderer: Renderer,
    template: Template,
    gpu: bool,
    plugins: Sequence[PlugIn],
    folders: Sequence[Path],
) -> View:
    # Of the farm on this machine, whose data folder holds the work folder; and of its user.
    private = {place.root.parent.parent.resolve(), *_home()}
    program = Path(renderer.command[0])
    links: list[tuple[Path, Path]] = []
    if renderer.kind == "bpy":
        own = _python_folders(program)
    else:
        resolved = program.resolve()
        folder = _root(resolved.parent)
        # Beside a program in such a folder lie somebody's own things, and not what it needs.
        own = [resolved if _holds(folder, private) else folder]
        if program != resolved and not _seen(program, [*SYSTEM, *own]):
            links.append((program, resolved))
    if template.python:
        own += _interpreter_folders(Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix))
    named = [*template.visible, *(name for plugin in plugins for name in plugin.folders)]
    own += [*_places(named, private), *folders]
    devices = Path("/dev")
    return View(
        readable=tuple(
            path
            for path in dict.fromkeys([*own, template.scripts, SHARED])
            if path.exists() and not _seen(path, SYSTEM) and not _opens(path, private)
        ),
        links=tuple(links),
        hidden=tuple(
            folder
            for folder in sorted(private)
            if any(folder != each and folder.is_relative_to(each) for each in SYSTEM)
        ),
        devices=tuple(path for each in _GPU_DEVICES * gpu for path in sorted(devices.glob(each))),
        gpu=gpu,
        network=template.network or any(plugin.network for plugin in plugins),
    )


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
    log.warning("The sandbox does not show %s: private files of this machine lie in it.", path)
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
    return [*_interpreter_folders(python, prefix, base_prefix), origin.parent.parent]


def _interpreter_folders(python: Path, prefix: Path, base_prefix: Path) -> list[Path]:
    # A virtual environment's python is a link, often to a link: each must lead somewhere.
    hops = [python]
    while hops[-1].is_symlink():
        hops.append(hops[-1].parent / hops[-1].readlink())
    prefixes = [prefix, base_prefix, *(hop.parent.parent for hop in hops)]
    # Not all of a prefix: people keep other things there, such as a farm's data.
    parts = ("bin", "lib", "lib64", "pyvenv.cfg")
    return [each / part for each in prefixes for part in parts]


def _seen(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(each) for each in folders)


def _refusal(prefix: list[str], renderer: Renderer, template: Template) -> str:
    """Return why the renderer does not start inside the sandbox; "" when it does."""
    program = renderer.command[0]
    if _seen(Path(program).resolve(), SYSTEM):
        return ""  # The system's own, complete in there: a third of a second saved.
    # Anything else may be a script, or a package of another kind, that needs more than its folder.
    arguments = ["-s", "-c", ""] if renderer.kind == "bpy" else [*template.trial]
    line = [*_prepared(program, template), *arguments]
    reason = _trial([*prefix, *line], f"{program} does not start in bubblewrap")
    # What fails outside as well, as without a licence, is no reason to open the sandbox. Nor is
    # what happens when a scene is opened: a scene could ask for that.
    return reason if reason and not _trial(line, program) else ""


def _prepared(program: str, template: Template) -> list[str]:
    """Return how the program is started: as `drive.py` does, behind its script if it has one."""
    setup = template.drive.setup if template.drive else ""
    script = Path(program).resolve().parent / setup
    if not setup or not script.exists():
        return [program]
    return ["/bin/sh", "-c", '. "$0" && exec "$@"', str(script), program]


def _trial(line: list[str], trouble: str) -> str:
    """Run a command; return a sentence that begins with ``trouble``, "" when it succeeds."""
    try:
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            cwd="/",
            encoding="utf-8",
            errors="backslashreplace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{trouble}: {error}."
    if done.returncode == 0:
        return ""
    said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
    return f"{trouble}: {said.splitlines()[-1][:_LONGEST_REASON].rstrip('.')}."


def _unsandboxed(mode: Mode, reason: str) -> str:
    if mode == "required":
        return f"{_trouble(reason)}, and this farm requires one (FARM_SANDBOX=required)."
    return f"{_trouble(reason)}: the scene ran with the rights of the farm's user."


def _trouble(reason: str) -> str:
    return f"This render machine has no working sandbox ({reason.rstrip('.')})"
