"""Render frames of a .blend one by one, inside Blender 3.x to 5.x or a Python with bpy.

    render.py -- --scene=FILE --project=FOLDER --path-map=FILE --output=FOLDER --partial=FOLDER
                 --prefix=TEXT --format=ID --engine=ID --gpu=true|false --gpu-devices=TEXT
                 --width=PIXELS --height=PIXELS --scene-name=NAME --view-layer=NAME --camera=NAME
                 --samples=COUNT --tile-size=PIXELS --plugins=CODES --missing-files=fail|warn
                 --frames=RANGE

An empty text or 0 keeps the file's own setting. Frames are given as an OpenJD range expression
(``-2,1-9:4``) and rendered in this order by one process. Each file is renamed into the output
folder when it is complete. Events (see farm_events):

    warned         message, which the job shows (`warn`)
    loaded         width, height (null when uncertain), engine, version
    frame_started  frame
    frame_written  frame, files (relative to the output folder), extra (of File Output nodes),
                   seconds (of rendering and writing)
    failed         message, permanent

The exit code is 0 only if every frame was written, and 3 after `failed`. The runner does not rely
on it, and checks the files itself.
"""

import argparse
import os
import sys
import time
import traceback
from typing import Any

# Blender does not add the folder of this file to the module path.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bpy
import farm_checks
import farm_choices
import farm_colours
import farm_denoising
import farm_links
import farm_mapping
import farm_open
import farm_plugins
import farm_programs
import farm_setup
import farm_simulations
import farm_view
from farm_events import SceneError, die_with_runner, emit, flush, progress, warn
from farm_numbering import numbered
from farm_script import FAILED, explain, frames_of, move

_TEXTS = (
    *("scene", "project", "path-map", "output", "partial", "prefix", "format", "engine"),
    *("gpu", "gpu-devices"),
    *("scene-name", "view-layer", "camera", "plugins", "missing-files", "frames"),
)


def main() -> int:
    """Run the job; return the exit code."""
    options = _arguments()
    die_with_runner()
    try:
        scene = _open(options)
        _render_all(scene, options, frames_of(options.frames))
    except SceneError as error:
        emit("failed", message=str(error), permanent=error.permanent)
        return FAILED
    except Exception as error:
        # Unexpected errors: the log gets the traceback, the user its last line.
        traceback.print_exc()
        emit(
            "failed",
            message=explain(f"{type(error).__name__}: {error}", options.partial),
            permanent=False,
        )
        return FAILED
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in _TEXTS:
        parser.add_argument(f"--{name}", required=True)
    for name in ("width", "height", "samples", "tile-size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])


def _open(options: argparse.Namespace) -> Any:
    """Open and check the scene and set it up. Raises SceneError."""
    shown = os.path.relpath(options.scene, options.project)
    if not os.path.isfile(options.scene):
        raise SceneError(f"The scene {shown} is missing.")
    # Before the file is opened: data of disabled add-ons would be lost.
    farm_plugins.enable(options.plugins.split(","))
    mapping = farm_mapping.read(options.path_map, options.project)
    opened = farm_open.open_file(options.scene, shown, mapping)
    for message in farm_programs.switch_off():
        warn(message)
    scene = farm_choices.choose_scene(options.scene_name)
    farm_choices.set_view_layer(scene, options.view_layer)
    farm_choices.set_camera(scene, options.camera)
    farm_setup.check_camera(scene)
    farm_setup.set_engine(scene, options.engine or opened.lacking.get(scene.name, ""))
    farm_setup.set_output(scene, options.format)
    missing = farm_checks.missing_files(scene, frames_of(options.frames), options.project)
    if missing.needed and options.missing_files == "fail":
        raise SceneError(farm_checks.message(missing.needed))
    if missing.needed:
        warn(farm_checks.without(missing.needed))
    if missing.others:
        warn(farm_checks.note(missing.others))
    gone = farm_links.gone(opened.gone, scene, options.project)
    if gone.needed and options.missing_files == "fail":
        raise SceneError(farm_links.refusal(gone.needed))
    for message in [*farm_links.messages(gone.needed), *farm_links.messages(gone.others)]:
        warn(message)
    if message := farm_links.dropped(opened.dropped):
        warn(message)
    farm_setup.set_device(scene, options.gpu == "true", options.gpu_devices)
    farm_denoising.check(scene)
    farm_choices.set_size(scene, options.width, options.height)
    farm_choices.set_samples(scene, options.samples)
    farm_choices.set_tile_size(scene, options.tile_size)
    _check_colours(scene, opened.colours, options.missing_files == "fail")
    width, height = farm_setup.picture_size(scene) or (None, None)
    version, engine = bpy.app.version_string, scene.render.engine
    emit("loaded", width=width, height=height, engine=engine, version=version)
    return scene


def _check_colours(scene: Any, lacks: farm_colours.Lacking, fail: bool) -> None:
    """Warn of colours that differ from the artist's. Raises SceneError if that fails the job."""
    if fail and farm_colours.change_pixels(lacks, scene):
        raise SceneError(farm_colours.refusal(lacks))
    if message := farm_colours.message(lacks):
        warn(message)


def _render_all(scene: Any, options: argparse.Namespace, frames: "list[int]") -> None:
    nodes_folder = os.path.join(options.partial, "nodes")
    # The other scenes first: for node trees that scenes share, the last change counts.
    others = [each for each in bpy.data.scenes if each != scene]
    farm_setup.mute_file_nodes(others, os.path.join(options.partial, "others"))
    caught = farm_setup.catch_file_nodes(scene, nodes_folder)
    marker = farm_view.Marker()
    playback = farm_simulations.Playback(scene)
    if playback.warning:
        warn(playback.warning)
    # Counts as start-up time, which larger claims compensate.
    playback.run(max(frames))
    for number, frame in enumerate(frames):
        started = time.monotonic()
        emit("frame_started", frame=frame)
        scene.frame_set(frame)
        if scene.frame_current != frame:
            raise SceneError(f"Frame {frame} is outside the range that Blender can render.")
        _check_drivers()
        files = _render(scene, options, frame, marker)
        extra = _collect_nodes(options, nodes_folder, caught, frame, scene, marker)
        seconds = time.monotonic() - started
        emit("frame_written", frame=frame, files=files, extra=extra, seconds=seconds)
        progress(100 * (number + 1) / len(frames))


def _render(
    scene: Any, options: argparse.Namespace, frame: int, marker: farm_view.Marker
) -> "list[str]":
    """Render one frame, with compositing and sequencer; return its files."""
    stem = os.path.join(options.partial, "frame")
    # Blender adds the extension (and the suffix of a view), but no number for a still image.
    scene.render.filepath = stem
    try:
        bpy.ops.render.render(write_still=True)
    except RuntimeError as error:
        raise _render_error(str(error), options.partial) from None
    written = [name for name in os.listdir(options.partial) if name.startswith("frame")]
    if not written:
        raise SceneError(explain(f"Frame {frame} was not written", options.partial), False)
    target = numbered(options.prefix, frame)
    files = []
    for name in sorted(written):
        # "frame.png", or "frame_L.png" and "frame_R.png" of a scene with several views.
        relative = target + name[len("frame") :]
        marker.mark(os.path.join(options.partial, name), scene)
        move(os.path.join(options.partial, name), os.path.join(options.output, relative))
        files.append(relative)
    return files


def _render_error(error: str, folder: str) -> SceneError:
    text = " ".join(error.replace("Error: ", "").split())
    if "no camera" in text.lower():
        return SceneError("The scene has no camera for this frame, so there is nothing to render.")
    return SceneError(explain(f"Blender could not render: {text}", folder), False)


def _check_drivers() -> None:
    """Refuse scenes with blocked drivers: Blender would render wrong images and exit with 0."""
    message = bpy.app.autoexec_fail_message if bpy.app.autoexec_fail else ""
    if message.lower().startswith("driver"):
        raise SceneError(
            f"The scene is animated by a Python expression that the farm does not run: {message}."
            " Bake it to keyframes, or use a simple expression."
        )


def _collect_nodes(
    options: argparse.Namespace,
    folder: str,
    caught: "dict[str, str]",
    frame: int,
    scene: Any,
    marker: farm_view.Marker,
) -> "list[str]":
    """Move the files of File Output nodes to ``<prefix><node name>/``; return their paths."""
    files = []
    for subfolder, name in caught.items():
        root = os.path.join(folder, subfolder)
        for parent, _, names in os.walk(root):
            for file in sorted(names):
                inside = os.path.relpath(os.path.join(parent, file), root).replace(os.sep, "/")
                stem, extension = os.path.splitext(inside)
                if numbered("", abs(frame)) not in stem:
                    # Blender 5 numbers these files only on request: frames would overwrite each
                    # other.
                    inside = f"{numbered(stem + '_', frame)}{extension}"
                relative = f"{options.prefix.replace('#', '')}{name}/{inside}"
                marker.mark(os.path.join(parent, file), scene)
                move(os.path.join(parent, file), os.path.join(options.output, relative))
                files.append(relative)
    return files


if __name__ == "__main__":
    code = main()
    flush()
    # Not sys.exit: after a blocked driver, bpy 4.5.15 can hang for ever during clean-up.
    os._exit(code)
