"""Colour management that a scene names but this Blender's OpenColorIO configuration lacks.

Blender uses its own default instead, prints a line and goes on: with a studio's configuration on
the artist's machine and none here, all frames come out in other colours.
"""

import re

from farm_script import listed

# The second form is Blender 5's. Names have up to 63 bytes.
_LACKING = re.compile(
    r"\b(?:Color management: |color_management {0,9}\| WARNING )"
    r"(display|Display|scene view|scene look|image colorspace) \"([^\"\n]{0,99})\""
    r"(?: used by scene)? not found"
)
_WORDS = {"scene view": "view", "scene look": "look", "image colorspace": "colour space"}


def lacking(said: str) -> "list[str]":
    """Return a message about what Blender, according to its output, did not find; [] if nothing."""
    found = ((kind.lower(), name) for kind, name in _LACKING.findall(said))
    names = dict.fromkeys(f"{_WORDS.get(kind, kind)} '{name}'" for kind, name in found)
    if not names:
        return []
    return [
        f"The scene's colour management uses what this Blender does not have: {listed([*names])}."
        " It belongs to another OpenColorIO configuration; the frames are rendered with Blender's"
        " own default, in other colours."
    ]
