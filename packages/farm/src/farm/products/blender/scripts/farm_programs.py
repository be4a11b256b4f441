"""Parts of a .blend that are programs, and would run during a render: removed, with a message.

`--disable-autoexec` and ``use_scripts=False`` keep Blender from running self-registering text
blocks and drivers that need Python. They do not cover the following, found in Blender's sources and
seen in 3.4.1, in every scene of the file, including linked ones:

* Freestyle's style modules: Python texts that draw the lines of a view layer (refused by Blender
  itself since 4.x).
* Freestyle's line sets: Blender writes the names of the view layer and the line set into a line of
  Python. It escapes quotes, but not backslashes, so such a name can continue as code.
* Fluid domains: the folder of the cache becomes part of a line of Python as well; older Blenders do
  not escape the quote.
* The statement ``import``: older Blenders look for a module among the texts of the file, too.
* OSL: shaders that Cycles compiles to machine code. They can neither write files nor start
  programs, but read pictures, and are trusted to be what a compiler has made.

Names cannot be animated, but switches can. So programs are removed, not only switched off.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import bpy
from farm_events import PROGRAMS, SceneError
from farm_script import listed

_NO_NAME = re.compile(r"[\\\x00-\x1f]")
_MASKS_QUOTES = (3, 4)
"""The first Blender known to escape folders in Python correctly."""


def switch_off() -> "list[str]":
    """Switch off such programs; return a message for each thing that the pictures then lack.

    Raises:
        SceneError: without the program the scene would be a different one.
    """
    messages = list(_registered())
    for scene in bpy.data.scenes:
        for layer in scene.view_layers:
            settings = getattr(layer, "freestyle_settings", None)
            if settings is not None:  # None: a Blender built without Freestyle.
                messages += _style_modules(scene, layer, settings)
                messages += _names(scene, layer, settings)
    _check_fluids()
    if not os.environ.get(PROGRAMS):
        _check_shaders()
    for text in [text for text in bpy.data.texts if text.name.endswith(".py")]:
        bpy.data.texts.remove(text)
    return messages


def _registered() -> "Iterator[str]":
    # Usually a rig's panel, which no picture needs, but it may move something in the picture.
    names = [f"'{text.name}'" for text in bpy.data.texts if text.use_module]
    if names:
        yield (
            f"The scene's Python texts were not run: {listed(names)}. What they would move"
            " or change from frame to frame stays as it was saved. Bake it to keyframes."
        )


def _style_modules(scene: Any, layer: Any, settings: Any) -> "Iterator[str]":
    used = scene.render.use_freestyle and layer.use_freestyle and settings.mode == "SCRIPT"
    names = [each.script.name for each in settings.modules if each.script and each.use]
    for module in list(settings.modules):
        settings.modules.remove(module)
    if used and names:
        yield (
            f"The lines of the view layer '{layer.name}' (scene '{scene.name}') are missing: they"
            f" are drawn by the Python text '{names[0]}', which the farm does not run. Draw them"
            " with Freestyle's parameter editor."
        )


def _names(scene: Any, layer: Any, settings: Any) -> "Iterator[str]":
    if not settings.linesets:
        return
    for thing, kind in [(layer, "view layer"), *((each, "line set") for each in settings.linesets)]:
        before = thing.name
        if _NO_NAME.search(before):
            thing.name = _NO_NAME.sub("_", before)
            shown = _NO_NAME.sub("?", before)
            yield (
                f"The {kind} '{shown}' (scene '{scene.name}') is called '{thing.name}' here,"
                " because Blender would run its name as Python."
            )


def _check_fluids() -> None:
    if bpy.app.version >= _MASKS_QUOTES:
        return
    for thing in bpy.data.objects:
        for modifier in thing.modifiers:
            domain = getattr(modifier, "domain_settings", None)
            folder = bpy.path.abspath(domain.cache_directory) if domain else ""
            if "'" in folder:
                raise SceneError(
                    f"The fluid of '{thing.name}' keeps its cache in a folder with an"
                    " apostrophe in its name, which this Blender would run as Python."
                    " Rename the folder."
                )


def _check_shaders() -> None:
    nodes = list(_script_nodes())
    custom = [each for each in bpy.data.cameras if getattr(each, "type", "") == "CUSTOM"]
    if not nodes and not custom:
        return
    if any(
        getattr(getattr(each, "cycles", None), "shading_system", False) for each in bpy.data.scenes
    ):
        raise SceneError(
            "The scene uses OSL shaders, which are programs and run only in a sandbox. This"
            " render machine has none. Use other nodes, or have bubblewrap installed.",
            permanent=False,
        )
    # The switch may be animated.
    for node in nodes:
        node.mode, node.bytecode, node.bytecode_hash = "INTERNAL", "", ""
    for camera in custom:
        camera.type = "PERSP"


def _script_nodes() -> "Iterator[Any]":
    owners = [*bpy.data.materials, *bpy.data.worlds, *bpy.data.lights]
    trees = [each.node_tree for each in owners if each.node_tree] + list(bpy.data.node_groups)
    for tree in trees:
        yield from (node for node in tree.nodes if node.bl_idname == "ShaderNodeScript")
