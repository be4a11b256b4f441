"""What rendering does: lines, files, failures. Lines are those that farms look for. [S]"""

import os
import signal
import sys
import traceback
from typing import Any

from stand_ins_houdini import _errors, _images, _types
from stand_ins_houdini._scene import Scene

NO_LICENCE = (
    "No licenses could be found to run this application.",
    "Please check for a valid license server host",
)


class Event:
    """One value of an enumeration of `hou`."""

    def __init__(self, name: str) -> None:
        """Keep the name."""
        self._name = name

    def name(self) -> str:
        return self._name


PRE_RENDER, PRE_FRAME, POST_FRAME, POST_RENDER = map(
    Event, ("PreRender", "PreFrame", "PostFrame", "PostRender")
)


def say(line: str) -> None:
    """Write a line as Houdini's own code does, past Python's buffers."""
    sys.stdout.flush()
    os.write(1, f"{line}\n".encode())


def render(scene: Scene, node: Any, frames: "tuple[float, ...]", verbose: bool) -> None:
    """Render a range with the take that the node chooses. Raises OperationFailed."""
    current, frame = scene.take, scene.frame
    chosen = node.parm("take").evalAsString()
    if chosen != "_current_":
        if chosen not in scene.takes:
            raise _errors.OperationFailed(f"Invalid take: {chosen}")
        scene.take = chosen
    try:
        _render_range(scene, node, frames, verbose)
    finally:
        scene.take, scene.frame = current, frame


def _render_range(scene: Scene, node: Any, frames: "tuple[float, ...]", verbose: bool) -> None:
    scene.errors.pop(node.path(), None)
    _check_licence(scene, node)
    first, last, step = (int(number) for number in frames)
    held = []
    _call(scene, node, PRE_RENDER)
    for frame in range(first, last + 1, step):
        scene.frame = float(frame)
        _call(scene, node, PRE_FRAME)
        if verbose:
            say(f"RopNode.render: frame {frame}")
        _misbehave(scene, node, frame)
        if frame != scene.orders.get("lie_at"):
            job = (scene, node, frame, *_output(node))
            if scene.orders.get("at_end"):
                held.append(job)
            elif _waits(node):
                _write(*job)
        _call(scene, node, POST_FRAME)
    for job in held:
        _write(*job)
    _call(scene, node, POST_RENDER)
    if verbose:
        say("Finished Rendering")


def _check_licence(scene: Scene, node: Any) -> None:
    redshift = node.type().name() == "Redshift_ROP"
    if scene.orders.get("licence"):
        if redshift:
            # A plug-in's failure does not reach Houdini: no exception, no picture.
            say("License error: (RLM) no license for product (redshift-core)")
            scene.orders = {**scene.orders, "lie_at": int(scene.frame)}
            return
        raise _errors.OperationFailed("\n".join(NO_LICENCE))
    if scene.orders.get("no_devices"):
        say("No devices found. Aborting rendering.")
        raise _errors.OperationFailed("Redshift cancelled the render.")


def _misbehave(scene: Scene, node: Any, frame: int) -> None:
    orders = scene.orders
    if orders.get("fail_at") == frame:
        text = f"Error generating frame {frame}: the shop was not found"
        scene.errors[node.path()] = [text]
        raise _errors.OperationFailed(text)
    if orders.get("error_at") == frame:
        # Errors of a node do not always become exceptions.
        scene.errors[node.path()] = ["Cook error in input: /obj/geo1"]
        orders["lie_at"] = frame
    if orders.get("hang_at") == frame:
        while True:
            signal.pause()
    if orders.get("crash_at") == frame:
        os.kill(os.getpid(), signal.SIGSEGV)


def _output(node: Any) -> "tuple[str, bool]":
    """Return the path to write and whether it is a scene description."""
    kind = node.type().name()
    switch, path = _types.EXPORTS.get(kind, ("", ""))
    if switch and node.parm(switch).eval():
        return node.parm(path).evalAsString(), True
    output = _types.KINDS[kind].output
    if kind == "filecache::2.0" and node.parm("filemethod").evalAsString() == "constructed":
        folder = os.path.dirname(node.parm(output).evalAsString())
        return os.path.join(folder, "v1", os.path.basename(node.parm(output).evalAsString())), False
    return node.parm(output).evalAsString(), False


def _waits(node: Any) -> bool:
    """Whether the files are there when `render` returns; else they come too late for anyone."""
    for name, value in _types.WAITING.items():
        parm = node.parm(name)
        if parm is not None and parm.eval() != value:
            return False
    return True


def _write(scene: Scene, node: Any, frame: int, path: str, description: bool) -> None:
    orders = scene.orders
    width, height = _size(scene, node)
    if orders.get("wrong_size") == frame:
        width, height = width // 2, height // 2
    share = 0.5 if orders.get("truncate") == frame else None
    progress = node.parm("vm_alfprogress") or node.parm("alfprogress")
    tells = progress is not None and progress.eval() == 1
    if tells:
        say("ALF_PROGRESS 50%")
    paths = [
        path.replace("%(UDIM)d", tile) for tile in ("1001", "1002")[: 1 + ("%(UDIM)d" in path)]
    ]
    if orders.get("no_beauty") == frame:
        paths = []
    deep = node.parm("vm_dcmfilename")
    if deep is not None and deep.evalAsString() and not description:
        paths.append(deep.evalAsString())
    if orders.get("aov") and not description:
        stem, extension = os.path.splitext(path)
        paths.append(f"{stem}.{orders['aov']}{extension}")
    for one in paths:
        try:
            _images.write(one, width, height, frame, share)
        except OSError:
            raise _errors.OperationFailed(f"Failed to create file {one}") from None
    if tells:
        say("ALF_PROGRESS 100%")


def _size(scene: Scene, node: Any) -> "tuple[int, int]":
    camera = node.parm("camera")
    path = camera.evalAsString() if camera is not None else "/obj/cam1"
    if f"{path}/resx" not in scene.values:
        if camera is not None:
            raise _errors.OperationFailed(f"No camera found: {path}")
        return 64, 36
    size = scene.value(f"{path}/resx", scene.frame), scene.value(f"{path}/resy", scene.frame)
    override = node.parm("override_camerares")
    if override is None or not override.eval():
        return size
    fraction = node.parm("res_fraction").evalAsString()
    if fraction == "specific":
        return node.parm("res_overridex").eval(), node.parm("res_overridey").eval()
    return int(size[0] * float(fraction)), int(size[1] * float(fraction))


def _call(scene: Scene, node: Any, event: Event) -> None:
    for callback in scene.callbacks.get(node.path(), []):
        try:
            callback(node, event, (scene.frame - 1) / 24)
        except Exception:
            # A callback's mistake does not end a render. Our choice.
            traceback.print_exc()
