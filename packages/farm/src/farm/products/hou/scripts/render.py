"""Render frames of one render node of a .hip, inside hython of Houdini 18.5 to 20.5.

    render.py --scene=FILE --project=FOLDER --output=FOLDER --partial=FOLDER --frames=RANGE
              --rop=PATH --roptype=TYPE --take=NAME --whole=true|false --upload=LIST --disk=OBJECT
              --parms=OBJECT --outputs=LIST --env=OBJECT --gpu=true|false

LIST and OBJECT are JSON. Standard library and `hou` only, Python 3.7 syntax. Frames come as an
OpenJD range (``-2,1-9:4``), are rendered in that order by one process, and appear in the output
folder by a rename, never half-written. What the documented parameters are taken to mean:

    rop_nodepath (rop)      the node to render; without it, the only one of the type
    rop_nodetype (roptype)  its type must be this one; "" is any. ``ris`` also means ``ris::3.0``
    take                    renders with this take; "" is the node's own "Render With Take"
    output_upload (upload)  patterns of file names to deliver (``*.exr``, ``beauty.$F4.*``); a
                            pattern's folders do not count, as files are delivered by name; an
                            empty list delivers all
    project_env (env)       environment variables, set before the scene opens and again afterwards,
                            because a scene carries variables of its own
    project_param (parms)   parameter path -> value, set before rendering. A name without "/" is a
                            parameter of the render node; a list is the value of a parameter tuple
    project_param_output    further parameters that hold output paths: what is written there is
     (outputs)              delivered too, in a folder ``<node>_<parameter>``
    gpu                     Karma renders with its XPU engine, OpenCL on a GPU

Values of project_env and project_param that are remote paths (``/project_name/tex.exr``) become
paths on this machine. The ``disk_output_*`` parameters (disk, without that prefix):

    path_parm   the node's parameter with its output path; by default that of its type
    path        names the files instead of the scene: ``beauty.$F4.exr``; folders do not count
    ext         replaces the extension of that name
    parm, mode  a parameter of the node, and the value that it gets: how the node writes to disk.
                By default, nodes that can export scene descriptions render images
    renderer    the value of the node's parameter ``renderer``

The output path leads into the partial folder before anything is rendered; its last part stays. A
name without frame number gets one (``.$F4``), since runners would overwrite each other's frames.

With ``--whole=true`` (simulations, geometry in order) the frames are one range, rendered by one
call. Each frame is reported as soon as its files are there, or at the end; the last one brings what
belongs to no single frame. One file for all frames is reported with the last of them.

Inputs of the node are never rendered: they are jobs of their own. Events (see farm_events):

    loaded         width, height (null when uncertain), engine (type of the node), version
    frame_started  frame
    frame_written  frame, files (relative to the output folder), extra (of project_param_output),
                   seconds (of rendering and writing)
    failed         message, permanent

Exit code 0 only when every frame was written; 3 after `failed`. Not trusted: the runner looks.
"""

import argparse
import json
import os
import re
import sys
import time
import traceback
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import farm_inputs
import farm_nodes
import farm_scene
import hou
from farm_events import SceneError, die_with_runner, emit, flush, progress, warn
from farm_outputs import Outputs
from farm_script import FAILED, explain, frames_of

_NO_LICENCE = re.compile(r"no licen[cs]es|licen[cs]e (server|error)", re.IGNORECASE)


def main() -> int:
    """Render; return the exit code."""
    options = _arguments()
    die_with_runner()
    try:
        _work(options)
    except SceneError as error:
        emit("failed", message=str(error), permanent=error.permanent)
        return FAILED
    except hou.Error as error:
        _fail_in_houdini(error, options.partial)
        return FAILED
    except Exception as error:
        # An unforeseen case: the log gets all of it, the user the last line.
        traceback.print_exc()
        message = explain(f"{type(error).__name__}: {error}", options.partial)
        emit("failed", message=message, permanent=False)
        return FAILED
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ["scene", "project", "output", "partial", "frames", "rop"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--roptype", default="")
    parser.add_argument("--take", default="")
    for name in ["whole", "gpu"]:
        parser.add_argument(f"--{name}", choices=["true", "false"], default="false")
    for name in ["upload", "outputs"]:
        parser.add_argument(f"--{name}", type=json.loads, default=[])
    for name in ["disk", "parms", "env"]:
        parser.add_argument(f"--{name}", type=json.loads, default={})
    return parser.parse_args()


def _work(options: argparse.Namespace) -> None:
    """Open the scene, set it up, render. Raises SceneError and hou.Error."""
    frames = frames_of(options.frames)
    whole = options.whole == "true"
    step = _step(frames) if whole else 0
    gpu = options.gpu == "true"
    farm_scene.set_environment(options.env, options.project, gpu)
    farm_scene.load(options.scene, options.project)
    farm_scene.set_environment(options.env, options.project, gpu, loaded=True)
    hou.setFrame(frames[0])
    node = farm_nodes.find(options.rop, options.roptype)
    farm_scene.set_take(node, options.take)
    farm_scene.set_parms(node, options.parms, options.project)
    farm_nodes.prepare(node, options.disk, gpu)
    outputs = Outputs(node, options, frames)
    missing = farm_inputs.missing_files(options.project, outputs.parm_paths)
    if missing:
        # Only a warning: Houdini cannot tell what the picture needs from what lies unused.
        warn(farm_inputs.message(missing))
    width, height = farm_nodes.picture_size(node) or (None, None)
    version, engine = hou.applicationVersionString(), node.type().name()
    emit("loaded", width=width, height=height, engine=engine, version=version)
    if whole:
        _render_whole(node, outputs, frames, step)
    else:
        _render_each(node, outputs, frames)


def _render_each(node: Any, outputs: Outputs, frames: "list[int]") -> None:
    for number, frame in enumerate(frames):
        started = time.monotonic()
        emit("frame_started", frame=frame)
        farm_nodes.render(node, frame, frame, 1)
        if not outputs.written(frame):
            raise _not_written(node, outputs, [frame])
        files, extra = outputs.deliver_all()
        seconds = time.monotonic() - started
        emit("frame_written", frame=frame, files=files, extra=extra, seconds=seconds)
        progress(100 * (number + 1) / len(frames))


def _render_whole(node: Any, outputs: Outputs, frames: "list[int]", step: int) -> None:
    """Render a range by one call. Frames appear one after the other, or all at the end."""
    waiting, broken = list(frames), []  # type: list[int], list[Exception]
    mark = time.monotonic()

    def tell(frame: int, files: "list[str]", extra: "list[str]") -> None:
        nonlocal mark
        waiting.remove(frame)
        seconds, mark = time.monotonic() - mark, time.monotonic()
        emit("frame_written", frame=frame, files=files, extra=extra, seconds=seconds)
        progress(100 * (len(frames) - len(waiting)) / len(frames))
        if waiting:
            emit("frame_started", frame=waiting[0])

    def sweep(_node: Any, event: Any, _time: float) -> None:
        # In order, up to the first gap: a file beyond it may still be open. The last frame waits
        # for the end, when also the files that belong to no single frame are whole.
        if event != hou.ropRenderEventType.PostFrame or broken:
            return
        try:
            while len(waiting) > 1 and outputs.written(waiting[0]):
                tell(waiting[0], *outputs.deliver(waiting[0]))
        except Exception as error:
            # Houdini would print it and go on; it is raised when the render is over.
            broken.append(error)

    emit("frame_started", frame=frames[0])
    if outputs.one_per_frame and hasattr(node, "addRenderEventCallback"):
        node.addRenderEventCallback(sweep)
    last = frames[-1]
    farm_nodes.render(node, frames[0], last, step)
    if broken:
        raise broken[0]
    missing = [frame for frame in waiting if not outputs.written(frame)]
    for frame in [frame for frame in waiting if frame != last and frame not in missing]:
        # One file for all frames goes with the last one.
        tell(frame, *(outputs.deliver(frame) if outputs.one_per_frame else ([], [])))
    if last not in missing:
        files, extra = outputs.deliver(last)
        tell(last, files, extra + outputs.deliver_rest())
    if missing:
        raise _not_written(node, outputs, missing)


def _step(frames: "list[int]") -> int:
    step = frames[1] - frames[0] if len(frames) > 1 else 1
    if step < 1 or frames != list(range(frames[0], frames[-1] + 1, step)):
        raise SceneError(
            "A simulation is computed in order, so its frames must be a single rising"
            " range, such as '1 100'."
        )
    return step


def _not_written(node: Any, outputs: Outputs, frames: "list[int]") -> SceneError:
    """Say which frames are missing, with what the node and the disk have to say about it."""
    if len(frames) == 1:
        text = f"Frame {frames[0]} was not written"
    else:
        text = f"{len(frames)} frames were not written, the first is {frames[0]}"
    errors = farm_nodes.errors(node)
    return SceneError(explain(f"{text} ({errors})" if errors else text, outputs.folder), False)


def _fail_in_houdini(error: Any, folder: str) -> None:
    """Report an exception of Houdini: its own lines first, for the farm's markers and the log."""
    lines = [line.strip() for line in error.instanceMessage().splitlines() if line.strip()]
    flush()
    for line in lines:
        print(line, flush=True)
    text = " ".join(lines).rstrip(".")
    what = "Houdini has no licence" if _NO_LICENCE.search(text) else "Houdini could not render"
    emit("failed", message=explain(f"{what}: {text}", folder), permanent=False)


if __name__ == "__main__":
    code = main()
    flush()
    # Not sys.exit: Houdini's and plug-ins' own clean-up may hang or crash after all is written.
    os._exit(code)
