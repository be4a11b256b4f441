"""Colour management that a scene names but this Blender's OpenColorIO configuration lacks.

Blender uses its own default instead, prints a line and goes on: with a studio's configuration on
the artist's machine and none here, all frames come out in other colours.
"""

import re
from typing import Any, NamedTuple

import bpy
from farm_script import listed

# The second form is Blender 5's. Names have up to 63 bytes.
_LACKING = re.compile(
    r"\b(?:Color management: |color_management {0,9}\| WARNING )"
    r"(display|Display|scene view|scene look|image colorspace) \"([^\"\n]{0,99})\""
    r"(?: used by scene)? not found"
)
_LINEAR = ("OPEN_EXR", "OPEN_EXR_MULTILAYER", "HDR")
"""Formats that are written without a view."""
_WORDS = {"scene view": "view", "scene look": "look", "image colorspace": "colour space"}


class Lacking(NamedTuple):
    """What Blender, according to its output, did not find.

    Attributes:
        views: displays, views and looks, in words.
        spaces: colour spaces of images.
    """

    views: "list[str]"
    spaces: "list[str]"


def lacking(output: str) -> Lacking:
    """Return what Blender says that it did not find when it opened a file."""
    found = Lacking([], [])
    for kind, name in dict.fromkeys(_LACKING.findall(output)):
        words = f"{_WORDS.get(kind.lower(), kind.lower())} '{name}'"
        (found.spaces if kind == "image colorspace" else found.views).append(words)
    return found


def message(lacks: Lacking) -> str:
    """Return a message about the frames, if they are rendered all the same; "" if nothing lacks."""
    names = [*lacks.views, *lacks.spaces]
    if not names:
        return ""
    return (
        f"The scene's colour management uses what this Blender does not have: {listed(names)}."
        " It belongs to another OpenColorIO configuration; the frames are rendered with Blender's"
        " own default, in other colours."
    )


def change_pixels(lacks: Lacking, scene: Any) -> bool:
    """Return whether all frames of a scene, in its format, certainly get other colours.

    Blender does not say which scene of a file it means, nor whether an image is in the picture.
    """
    linear = scene.render.image_settings.file_format in _LINEAR
    return bool(lacks.views) and len(bpy.data.scenes) == 1 and not linear


def refusal(lacks: Lacking) -> str:
    """Return a message about a job that is stopped for it."""
    return (
        f"The scene's frames would have other colours: this Blender does not have the"
        f" {listed(lacks.views)}, of another OpenColorIO configuration. Have the render machine's"
        " OCIO name that configuration, choose what Blender has, render to OpenEXR, or submit with"
        ' missing_files="warn" to render all the same.'
    )
