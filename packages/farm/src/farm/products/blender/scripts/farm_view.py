"""Notes in OpenEXR images how Blender shows their scene.

Such images hold light, and nothing says how it is to be seen: a film of them would not look like
the scene's own pictures. The note is an attribute of the file, whose pixels stay as they are.
"""

import hashlib
import json
import os
import struct
from typing import Any

import bpy
import farm_exr
from farm_events import note


class Marker:
    """Writes the notes of one renderer's images."""

    def __init__(self) -> None:
        """Read which OpenColorIO configuration this Blender has."""
        self._config = _config()

    def mark(self, path: str, scene: Any) -> None:
        """Note in an image, if it is OpenEXR, how its scene is shown at this frame."""
        if not path.lower().endswith(".exr"):
            return
        text = json.dumps({**_view(scene), **self._config}, sort_keys=True)
        try:
            farm_exr.add_text(path, farm_exr.VIEW_NOTE, text)
        except (ValueError, struct.error) as error:
            note(f"{os.path.basename(path)} does not say how its scene is shown: {error}.")


def _config() -> "dict[str, str]":
    """Return whose OpenColorIO configuration this Blender has, and what tells it from others."""
    path, whose = os.environ.get("OCIO", ""), "the studio"
    if not path:
        folder = bpy.utils.system_resource("DATAFILES", path="colormanagement")
        path, whose = os.path.join(folder, "config.ocio"), f"Blender {bpy.app.version_string}"
    try:
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    except OSError:
        digest = ""
    return {"whose": whose, "config": digest}


def _view(scene: Any) -> "dict[str, Any]":
    view = scene.view_settings
    # What else changes the picture; Blender has them as switches.
    others = {"use_curve_mapping": "curves", "use_white_balance": "white balance"}
    return {
        "display": scene.display_settings.display_device,
        "view": view.view_transform,
        "look": view.look,
        "exposure": view.exposure,
        "gamma": view.gamma,
        "space": _space(scene),
        "besides": [word for name, word in others.items() if getattr(view, name, False)],
    }


def _space(scene: Any) -> str:
    """Return the colour space of a scene's linear images; "" for that in which Blender renders."""
    settings = scene.render.image_settings
    if settings.color_management == "OVERRIDE" and settings.has_linear_colorspace:
        return str(settings.linear_colorspace_settings.name)
    # Blender 5: chosen for each file.
    working = getattr(bpy.data, "colorspace", None)
    return str(working.working_space) if working is not None else ""
