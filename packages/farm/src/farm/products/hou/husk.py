"""husk: the names of a USD scene's images, and the environment of the program.

A stage may name its own images, anywhere; husk is given another name for the one that it renders.
The stage itself is not read.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from farm.products import SceneError, SceneFiles
from farm.products.hou.scripts.farm_parameters import FRAME, environment_of, is_wanted
from farm.products.shared.farm_numbering import numbered
from farm.products.shared.farm_sequence import SUFFIXES
from farm_protocol.paths import UnsafePathError, check_segment

_XPU = "BRAY_HdKarmaXPU"  # [S]
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]*\Z")


def read_scene(scene: Path, partial: Path, values: Mapping[str, str]) -> SceneFiles:
    """Return the names of the images, and the render delegate.

    Parameters:
        values: all parameters, as texts.

    Raises:
        SceneError: the parameters request something that cannot be written.
    """
    name = image_name(scene, values)
    suffix = Path(name).suffix
    _check(name, suffix, json.loads(values["output_upload"]), values["FrameRange"])
    gpu = values["gpu"] == "true"
    try:
        given, kept = environment_of(
            json.loads(values["project_env"]), values["ProjectFolder"], gpu
        )
    except ValueError as error:
        raise SceneError(str(error)) from None
    return SceneFiles(
        scene=scene,
        values={
            "Delegate": values["disk_output_renderer"] or (_XPU if gpu else ""),
            "Image": f"{partial}/frame.$F4{suffix}",
        },
        patterns=((f"frame.####{suffix}", name),),
        environment=given,
        warnings=tuple(
            (f"The farm itself sets the variable {name}. Leave it out of project_env.")
            for name in kept
        ),
    )


def image_name(scene: Path, values: Mapping[str, object]) -> str:
    """Return a file name with ``####`` where the frame number goes: no stage is needed for it.

    Parameters:
        values: of all parameters.
    """
    given, extension = str(values["disk_output_path"]), str(values["disk_output_ext"])
    base = re.split(r"[/\\]", given)[-1] or f"{scene.stem}.####"
    found = _SUFFIX.search(base)
    stem = base[: found.start()] if found else base
    suffix = f".{extension}" if extension else found[0] if found else ".exr"
    mark = FRAME.search(stem)
    if mark is None:
        return f"{stem}.####{suffix}"
    digits = len(mark[0]) if mark[0][0] == "#" else int(re.sub(r"\D", "", mark[0]) or 1)
    return f"{stem[: mark.start()]}{'#' * digits}{stem[mark.end() :]}{suffix}"


def _check(name: str, suffix: str, patterns: list[str], frames: str) -> None:
    if suffix.lower() not in SUFFIXES:
        raise SceneError(
            f"disk_output_path ends in '{suffix}', but husk is to write images: use one of"
            f" {', '.join(SUFFIXES)}, or set disk_output_ext."
        )
    first = re.match(r"-?\d+", frames)
    file = numbered(name, int(first[0]) if first else 1)
    try:
        check_segment(file)
    except UnsafePathError as error:
        raise SceneError(str(error)) from None
    if not is_wanted(file, patterns):
        raise SceneError(
            f"The render writes {file}, but output_upload asks for {', '.join(patterns)} only, so"
            " nothing would be delivered."
        )
