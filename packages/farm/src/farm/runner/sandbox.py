"""A sandbox around a renderer: bubblewrap's command line, and whether it works on this machine.

Inside, a scene's programs find the system's programs and libraries, the renderer's own and the
job's project, all read-only; they may write into the job's folders for results and for temporary
files, and nowhere else. There is no network but the way to the job's licence servers (`licences`),
no other process, no device but the GPUs of a job that wants them. Everything lies at its own path,
so that no path needs to be translated.

`set_up` decides and looks at the machine; `command` is pure.
"""

import functools
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from farm.renderers import Renderer
from farm.runner.licences import Licences
from farm.runner.limits import Limits, limited
from farm.runner.sandbox_view import SYSTEM, View, seen, view_of
from farm.runner.watch import Confinement
from farm.runner.workplace import Workplace
from farm.templates import Template

log = logging.getLogger("farm.runner")

Mode = Literal["auto", "required", "off"]
"""``auto``: a sandbox where there is one, else a warning; ``required``: no work without one."""

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
_GPU = ("/sys", "/etc/OpenCL", "/etc/vulkan", "/opt/rocm")
"""What GPU drivers read: /sys describes the devices, the others name the drivers."""
_ASK_SECONDS = 60.0
_LONGEST_REASON = 300


class SandboxError(Exception):
    """There is no sandbox although one is required. ``str()`` is a sentence for people."""


@dataclass(frozen=True)
class Sandbox:
    """What was set up.

    Attributes:
        file: tells `farm_start.py` how to confine the renderer, as JSON: ``command`` is to be put
            in front of its own command line, and [] without a sandbox; ``rlimits`` (by their names
            in `resource`) and ``group`` (folder of a control group, or "") are to be taken on;
            ``pid_file`` is to be written.
        warning: what the job's owner must know; "" when all is well.
        closed: the renderer reaches no network at all, and no licence server.
    """

    file: Path
    warning: str = ""
    closed: bool = False


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
    confinement: Confinement,
    plugins: Iterable[str] = (),
    licences: Licences | None = None,
) -> Sandbox:
    """Prepare the sandbox of a job's renderers.

    Parameters:
        gpu: whether the job uses the GPUs of this machine.
        plugins: the job's own, ``<code>`` or ``<code>:<version>``.
        licences: the way to its licence servers; None for none.

    Raises:
        SandboxError: the mode is ``required`` and there is none.
        OSError: the work folder cannot be written.
    """
    if mode == "off":
        log.info("The sandbox is switched off: the scene runs with this user's rights.")
        return Sandbox(_written(place, confinement, []))
    reason = probe()
    if not reason:
        view = view_of(place, renderer, template, gpu, list(plugins))
        bwrap = shutil.which("bwrap") or "bwrap"
        prefix = command(bwrap, place, view, confinement.limits, licences)
        reason = _refusal(prefix, renderer, template)
        if licences is not None:
            licences.sandbox_ended()
        if not reason:
            return Sandbox(_written(place, confinement, prefix), closed=licences is None)
    if mode == "required":
        raise SandboxError(_unsandboxed(mode, reason))
    warning = _unsandboxed(mode, reason)
    log.warning("%s", warning)
    return Sandbox(_written(place, confinement, []), warning)


def _written(place: Workplace, confinement: Confinement, prefix: list[str]) -> Path:
    told = {
        "command": prefix,
        "rlimits": confinement.limits.rlimits,
        "group": str(confinement.group.path) if confinement.group else "",
        "pid_file": str(confinement.pid_file),
    }
    file = place.root / "sandbox.json"
    file.write_text(json.dumps(told), encoding="utf-8")
    return file


def command(
    bwrap: str, place: Workplace, view: View, limits: Limits, licences: Licences | None = None
) -> list[str]:
    """Return the command line that a renderer's own is to follow.

    Parameters:
        bwrap: path of bubblewrap.
        licences: the way to licence servers; None for none.
    """
    line = _system(bwrap, view, limits.small_bytes)
    if licences is not None:
        line = [*licences.prefix(), *line]
        line += ["--ro-bind", str(licences.hosts), "/etc/hosts"]
        line += ["--ro-bind", str(licences.name_service), "/etc/nsswitch.conf"]
    for folder in view.hidden:
        line += ["--tmpfs", str(folder)]
    # Parents first: a mount hides what was mounted below its place before.
    for path in sorted({*view.readable, place.project, place.orders}):
        line += ["--ro-bind", str(path), str(path)]
    for path, target in view.links:
        line += ["--symlink", str(target), str(path)]
    for folder in (place.written, place.home):
        line += ["--bind", str(folder), str(folder)]
    line += ["--remount-ro", "/", "--chdir", str(place.home), "--"]
    # Inside: in a user namespace of its own, the kernel counts only the processes in there.
    return [*line, *limited([], processes=limits.hard_processes)]


def _system(bwrap: str, view: View, small_bytes: int | None = None) -> list[str]:
    """Return the part that is the same for all jobs: namespaces, system, devices.

    Parameters:
        small_bytes: size of what lies in memory, such as ``/tmp``; None: half of the machine's.
    """
    line = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    line += ["--hostname", "render"]
    paths = [*SYSTEM, *_CONFIGURATION, *(_GPU * view.gpu)]
    for path in map(str, paths):
        line += ["--ro-bind-try", path, path]
    sized = ["--size", str(small_bytes)] if small_bytes and _knows_sizes(bwrap) else []
    line += ["--proc", "/proc", "--dev", "/dev", *sized, "--tmpfs", "/dev/shm"]  # noqa: S108
    line += [*sized, "--tmpfs", "/tmp"]  # noqa: S108 - its own
    # Blender lists its mounts, and complains in the log when it cannot.
    line += ["--symlink", "/proc/self/mounts", "/etc/mtab"]
    for device in view.devices:
        line += ["--dev-bind", str(device), str(device)]
    # It lies in memory, too, and a renderer has no business in it.
    return [*line, "--remount-ro", "/dev"]


@functools.cache
def _knows_sizes(bwrap: str) -> bool:
    """Return whether this bubblewrap limits what lies in memory: since 0.6."""
    try:
        told = subprocess.run([bwrap, "--help"], capture_output=True, timeout=_ASK_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b"--size" in told.stdout + told.stderr


def _refusal(prefix: list[str], renderer: Renderer, template: Template) -> str:
    """Return why the renderer does not start inside the sandbox; "" when it does."""
    program = renderer.command[0]
    if seen(Path(program).resolve(), SYSTEM):
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
