"""What confines a renderer: a sandbox where there is one, and never the rights of root.

Inside, a scene's programs find the system's programs and libraries and the renderer's own, all
read-only; they may write only into the job's folders for results and for temporary files and,
without changing it, into its project. There is no network but the relays to the job's licence
servers (`licences`). `farm.confine` makes the command line, `view` decides what is visible.
"""

import logging
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm_protocol.runner import SandboxMode

from farm.confine import (
    SYSTEM,
    Account,
    UndecidedError,
    View,
    drop,
    ends_all,
    groups_of,
    is_root,
    opened,
    prefix,
    probe,
    trial,
)
from farm.confine.python import own_python
from farm.products import SHARED, Template
from farm.renderers import Renderer
from farm.runner.limits.amounts import Limits
from farm.runner.sandbox.licences import Licences
from farm.runner.sandbox.view import seen, view_of
from farm.runner.workplace import Workplace

log = logging.getLogger("farm.runner")

_NAME_SERVICE = Path("/etc/nsswitch.conf")
_RIGHTS = {
    False: (
        "a scene can read, change and delete everything that the farm's user can, and use the"
        " network."
    ),
    True: (
        "a scene runs as an account without rights, but can read what everybody on this machine"
        " may read, and use the network."
    ),
}
"""What a scene may do outside of a sandbox: as the farm's user, or as an account without rights
where that is root.
"""


_OUTLIVES = (
    "A scene can leave programs running in the sandbox of this render machine, without limits,"
    " after its claim has ended. Install util-linux 2.34 or newer and a bubblewrap that is not"
    " set-uid root, and let users make namespaces."
)
_WITHOUT = "To render without a sandbox anyway, set FARM_SANDBOX=off."


class SandboxError(Exception):
    """There is no sandbox although one is required. ``str()`` is a message for people."""


@dataclass(frozen=True)
class Sandbox:
    """The result of the set-up.

    Attributes:
        prefix: the command line to put before the renderer's; () for none.
        apart: whether the renderer then has its own process namespace.
        warning: a warning for the job's owner; "" when all is well.
        works: the renderer runs in one.
        layered: the renderer's changes to the project vanish with its claim, and the staged files
            stay unchanged.
        closed: the renderer reaches no network at all, and no licence server.
        programs: whether a scene may run programs that its renderer confines only partly, such as
            OSL shaders: inside, and where the operator has switched the sandbox off.
        file: file with all of this for `farm_start.py`.
        mode: the operator's setting for sandboxes.
    """

    prefix: tuple[str, ...] = ()
    apart: bool = False
    warning: str = ""
    works: bool = False
    layered: bool = False
    closed: bool = False
    programs: bool = False
    file: Path = Path()
    mode: SandboxMode = "auto"


def complaint(mode: SandboxMode) -> str:
    """Return a warning about this machine for its operator, as a message; "" when all is well."""
    try:
        if mode == "off":
            return ""
        if not (reason := probe()):
            return "" if ends_all() else _OUTLIVES
    except UndecidedError as error:
        return undecided(error)
    if mode == "required":
        return required(reason)
    return f"{_trouble(reason)}: {_RIGHTS[is_root()]}"


def set_up(
    mode: SandboxMode,
    place: Workplace,
    renderer: Renderer,
    template: Template,
    gpu: bool,
    limits: Limits,
    plugins: Iterable[str] = (),
    licences: Licences | None = None,
    watched: bool = True,
) -> Sandbox:
    """Prepare the sandbox of a job's renderers.

    Parameters:
        gpu: whether the job uses this machine's GPUs.
        limits: of the renderers; those that a command line can set are applied.
        plugins: the job's own, ``<code>`` or ``<code>:<version>``.
        licences: relays to its licence servers; None for none.
        watched: no control group limits its memory.

    Raises:
        SandboxError: the mode is ``required`` and there is no sandbox, or the renderer starts only
            outside, for a temporary reason.
        farm.confine.AccountError: root cannot be given up here.
        farm.confine.UndecidedError: it is currently unknown.
    """
    account = place.account
    if mode == "off":
        log.info("The sandbox is switched off: %s", _RIGHTS[account is not None])
    if mode == "off" and account is None:
        return Sandbox(programs=True)
    view = view_of(place, renderer, template, gpu, list(plugins))
    view = replace(view, small_bytes=limits.small_bytes, watched=watched)
    # The kernel counts the processes of a user namespace; of root's sandbox, which has none, those
    # of the account, wherever they are.
    shared = account is not None and not account.own
    counted = [] if shared else _counted(limits.hard_processes)
    without = Sandbox() if account is None else _without(view, account, counted)
    reason = probe() if mode != "off" else ""
    if mode != "off" and not reason:
        inside = _layered(view, place)
        line = [*_inside(inside, account, licences), *counted]
        reason = _refusal(line, list(without.prefix), renderer, template)
        if licences is not None:
            licences.sandbox_ended()
        if not reason:
            closed = licences is None
            warning = "" if ends_all() else _OUTLIVES
            return Sandbox(
                tuple(line),
                True,
                warning,
                works=True,
                layered=inside.layer is not None,
                closed=closed,
                programs=True,
            )
    if mode == "required":
        raise SandboxError(required(reason))
    if account is not None and not without.apart:
        _check_reach(without.prefix, renderer, template)
    if mode == "off":
        return replace(without, programs=True)
    warning = f"{_trouble(reason)}: {_RIGHTS[account is not None]}"
    log.warning("%s", warning)
    return replace(without, warning=warning)


def _layered(view: View, place: Workplace) -> View:
    """Return a view in which the project stays unchanged; the same view where that does not work.

    It does not work if the work folder's file system or the kernel cannot, or an ordinary user may
    not.
    """
    writable = tuple(path for path in view.writable if path != place.project)
    layered = replace(view, writable=writable, layer=place.layer)
    test = [*prefix(layered, place.account), "/bin/sh", "-c", ': >"$0"', str(place.project / "t")]
    lacking = "This machine cannot keep renderers' changes separate from the project's files"
    reason = trial(test, lacking)
    place.clear()
    if reason:
        log.info("%s They get copies of its files.", reason)
    return view if reason else layered


def _counted(most: int) -> list[str]:
    """Return the command line that limits its user's processes and threads.

    [] where util-linux is missing: there they are only watched.
    """
    program = shutil.which("prlimit")
    return [] if program is None else [program, "--core=0", f"--nproc={most}", "--"]


def _without(view: View, account: Account, counted: list[str]) -> Sandbox:
    """Return how to start a renderer without a sandbox, but not as root."""
    if probe():
        return Sandbox((*drop(account, groups_of(view.devices)), *counted))
    # A program may be a script for the farm's own Python, which may lie in root's folder.
    view = replace(view, readable=(*view.readable, *own_python()))
    return Sandbox((*opened(view, account), *counted), apart=True)


def _inside(view: View, account: Account | None, licences: Licences | None) -> list[str]:
    if licences is None:
        return prefix(view, account)
    files = ((licences.hosts, Path("/etc/hosts")), (licences.name_service, _NAME_SERVICE))
    return prefix(replace(view, files=files), account, licences.prefix())


def _refusal(inside: list[str], outside: list[str], renderer: Renderer, template: Template) -> str:
    """Return why the renderer does not start inside the sandbox; "" when it does.

    Parameters:
        inside, outside: the command line in front of it, with and without a sandbox.

    Raises:
        SandboxError: it starts only outside, for a temporary reason: that does not justify opening
            the sandbox.
        farm.confine.UndecidedError: it currently starts nowhere.
    """
    program = renderer.command[0]
    if seen(Path(program).resolve(), SYSTEM):
        return ""  # The system's own, complete in there: a third of a second saved.
    # Anything else may be a script, or a package of another kind, that needs more than its folder.
    arguments = ["-s", "-c", ""] if renderer.kind == "bpy" else [*template.trial]
    line = [*_prepared(program, template), *arguments]
    trouble = f"{program} does not start in bubblewrap"
    try:
        reason = trial([*inside, *line], trouble)
    except UndecidedError as error:
        # Outside it has the same resources, or lack of them.
        if trial([*outside, *line], program):
            return ""
        raise SandboxError(f"{error} {_WITHOUT}") from error
    # What fails outside as well, as without a licence, is no reason to open the sandbox. Nor is
    # what happens when a scene is opened: a scene could ask for that. Nor is a single failure, for
    # which something may have been missing that was there again for the trial outside.
    if not reason or trial([*outside, *line], program):
        return ""
    return trial([*inside, *line], trouble)


def _prepared(program: str, template: Template) -> list[str]:
    """Return how the program is started: as `drive.py` does, behind its script if it has one."""
    setup = template.drive.setup if template.drive else ""
    script = Path(program).resolve().parent / setup
    if not setup or not script.exists():
        return [program]
    return ["/bin/sh", "-c", '. "$0" && exec "$@"', str(script), program]


def _check_reach(outside: Sequence[str], renderer: Renderer, template: Template) -> None:
    """Make sure that a renderer without a sandbox can be started. Raises SandboxError."""
    needed = [renderer.command[0], template.scripts, SHARED, *([sys.executable] * template.python)]
    test = 'for each; do test -r "$each" || { echo "$each"; exit 1; }; done'
    line = [*outside, "/bin/sh", "-c", test, "sh", *map(str, needed)]
    if reason := trial(line, "The account that renderers have when the farm is root cannot read"):
        raise SandboxError(
            f"{reason} Install it where everybody may read it, or start the farm as an ordinary"
            " user."
        )


def required(reason: str) -> str:
    """Return why no work is done here, as a message.

    Parameters:
        reason: why there is no sandbox; "" for a renderer that was started without one.
    """
    return (
        f"{_trouble(reason)}, and this farm requires a sandbox (FARM_SANDBOX=required, which"
        " is the default of a farm with several accounts or on a network)."
    )


def undecided(error: UndecidedError) -> str:
    """Return why nothing is rendered for now, as a message."""
    return (
        "The sandbox of this render machine cannot be checked now, and nothing is rendered"
        f" without it until then: {error} If this goes on, close other programs of the"
        f" farm's user, or raise its limits. {_WITHOUT}"
    )


def _trouble(reason: str) -> str:
    why = f" ({reason.rstrip('.')})" if reason else ""
    return f"This render machine has no working sandbox{why}"
