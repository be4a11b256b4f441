"""Render frames of one render node of a .hip, inside hython of Houdini 18.5 to 20.5.

    render.py --scene=FILE --project=FOLDER --output=FOLDER --partial=FOLDER --frames=RANGE
              --rop=PATH --roptype=TYPE --take=NAME --whole=true|false --upload=LIST --disk=OBJECT
              --parms=OBJECT --outputs=LIST --env=OBJECT --gpu=true|false

LIST and OBJECT are JSON. Uses only the standard library and `hou`, and Python 3.7 syntax. Frames
are given as an OpenJD range expression (``-2,1-9:4``) and rendered in this order by one process.
Each file is renamed into the output folder when it is complete. The meaning of the documented
parameters:

    rop_nodepath (rop)      the node to render; by default, the only one of the type
    rop_nodetype (roptype)  its type; "" is any. ``ris`` also matches ``ris::3.0``
    take                    the take to render; "" is the node's own "Render With Take"
    output_upload (upload)  patterns of file names to deliver (``*.exr``, ``beauty.$F4.*``); an
                            empty list delivers all files. Folders in patterns are ignored, since
                            files are delivered by name
    project_env (env)       environment variables, set before the scene opens and again afterwards,
                            because a scene carries variables of its own
    project_param (parms)   parameter path -> value, set before rendering. A name without "/" is a
                            parameter of the render node; a list is the value of a parameter tuple
    project_param_output    further parameters that hold output paths: what is written there is
     (outputs)              also delivered, in a folder ``<node>_<parameter>``
    gpu                     Karma uses its XPU engine, and OpenCL a GPU

Values of project_env and project_param that are remote paths (``/project_name/tex.exr``) become
paths on this machine. The ``disk_output_*`` parameters (disk, without that prefix):

    path_parm   the node's parameter with its output path; by default that of its type
    path        file name to use instead of the scene's, such as ``beauty.$F4.exr``; folders in it
                are ignored
    ext         replaces the extension of that name
    parm, mode  a parameter of the node that controls how it writes to disk, and its value. By
                default, nodes that can export scene descriptions render images instead
    renderer    the value of the node's parameter ``renderer``

Before rendering, the output path is redirected into the partial folder; the file name stays. A name
without a frame number gets one (``.$F4``), since runners would overwrite each other's frames.

With ``--whole=true`` (simulations, sequential geometry) the frames form one range, rendered by one
call. Each frame is reported when its files are complete, at the latest at the end. Files that
belong to no single frame, or to all of them, are reported with the last frame.

Inputs of the node are not rendered: they are separate jobs. Events (see farm_events):

    loaded         width, height (null when uncertain), engine (type of the node), version
    frame_started  frame
    frame_written  frame, files (relative to the output folder), extra (of project_param_output),
                   seconds (of rendering and writing)
    failed         message, permanent

The exit code is 0 only if every frame was written, and 3 after `failed`. The runner does not rely
on it, and checks the files itself.
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
    """Run the job; return the exit code."""
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
        # Unexpected errors: the log gets the traceback, the user its last line.
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
        # Only a warning: Houdini does not report which files the image actually uses.
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
    """Render a range by one call. Files appear frame by frame, or all at the end."""
    waiting, broken = list(frames), []  # type: list[int], list[Exception]
    mark = time.monotonic()

    def report(frame: int, files: "list[str]", extra: "list[str]") -> None:
        nonlocal mark
        waiting.remove(frame)
        seconds, mark = time.monotonic() - mark, time.monotonic()
        emit("frame_written", frame=frame, files=files, extra=extra, seconds=seconds)
        progress(100 * (len(frames) - len(waiting)) / len(frames))
        if waiting:
            emit("frame_started", frame=waiting[0])

    def report_complete(_node: Any, event: Any, _time: float) -> None:
        # In order, up to the first gap: a file after it may still be open. The last frame is
        # reported at the end, when the files that belong to no single frame are complete, too.
        if event != hou.ropRenderEventType.PostFrame or broken:
            return
        try:
            while len(waiting) > 1 and outputs.written(waiting[0]):
                report(waiting[0], *outputs.deliver(waiting[0]))
        except Exception as error:
            # Houdini would print it and continue; it is raised when the render has ended.
            broken.append(error)

    emit("frame_started", frame=frames[0])
    if outputs.one_per_frame and hasattr(node, "addRenderEventCallback"):
        node.addRenderEventCallback(report_complete)
    last = frames[-1]
    farm_nodes.render(node, frames[0], last, step)
    if broken:
        raise broken[0]
    missing = [frame for frame in waiting if not outputs.written(frame)]
    for frame in [frame for frame in waiting if frame != last and frame not in missing]:
        # A single file for all frames is delivered with the last one.
        report(frame, *(outputs.deliver(frame) if outputs.one_per_frame else ([], [])))
    if last not in missing:
        files, extra = outputs.deliver(last)
        report(last, files, extra + outputs.deliver_rest())
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
    """Return an error that names the missing frames, with errors of the node and of the disk."""
    if len(frames) == 1:
        text = f"Frame {frames[0]} was not written"
    else:
        text = f"{len(frames)} frames were not written, the first is {frames[0]}"
    errors = farm_nodes.errors(node)
    return SceneError(explain(f"{text} ({errors})" if errors else text, outputs.folder), False)


def _fail_in_houdini(error: Any, folder: str) -> None:
    """Report an exception of Houdini; print its lines first, for failure markers and the log."""
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
    # Not sys.exit: clean-up of Houdini and of plug-ins may hang or crash when all is done.
    os._exit(code)
