"""Enables the add-ons of a job's plug-ins, before its scene is opened.

Blender starts with factory settings, which enable only its own. V-Ray for Blender is the add-on
`vray_blender`; it provides the render engine `VRAY_RENDER_RT`, according to its public source. Not
verified with the real add-on, which needs a licence: tests use a stand-in of that name.
"""

import os
from collections.abc import Iterable

import addon_utils
import bpy
from farm_events import SceneError

ADDONS = {"blender_vray": "vray_blender"}
"""Plug-in code -> the add-on's module."""
ENGINES = {"VRAY_RENDER_RT": "blender_vray"}
"""Render engines that a plug-in provides."""


def enable(plugins: "Iterable[str]") -> None:
    """Enable add-ons. Raises SceneError for one that is missing or does not start.

    Parameters:
        plugins: ``<code>`` or ``<code>:<version>``; those that are not add-ons are ignored.
    """
    for text in plugins:
        module = ADDONS.get(text.partition(":")[0])
        if module is not None:
            _enable(text, _installed(text, module))


def _installed(plugin: str, module: str) -> str:
    """Return the full name of the add-on: as an extension (Blender 4.2) it is ``bl_ext.*.<it>``."""
    for candidate in addon_utils.modules(refresh=True):
        if candidate.__name__.rpartition(".")[2] == module:
            name: str = candidate.__name__
            return name
    places = ", ".join(path for path in addon_utils.paths() if not _blenders_own(path))
    # Not permanent: another machine of the farm may have it.
    raise SceneError(
        f"The add-on {module} of the plug-in {plugin} is not on this machine. Blender"
        f" {bpy.app.version_string} looks for it in {places or 'its own folder'}; the variable"
        " BLENDER_USER_SCRIPTS names a folder of scripts, with the add-on in its folder 'addons'.",
        False,
    )


def _blenders_own(path: str) -> bool:
    return os.path.basename(path) == "addons_core"


def _enable(plugin: str, module: str) -> None:
    # It returns None when the add-on's own code failed, which it has then printed.
    if addon_utils.enable(module, default_set=True) is None:
        raise SceneError(f"The add-on {module} of the plug-in {plugin} does not start.", False)


def needed(engine: str) -> str:
    """Return advice about a missing engine, as the end of a message; "" when there is none."""
    plugin = ENGINES.get(engine)
    return f" It comes with the plug-in {plugin}: add that to the job's plugins." if plugin else ""
