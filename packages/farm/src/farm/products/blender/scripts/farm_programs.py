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
* OSL: shaders, and cameras since 4.5, that Cycles compiles to machine code. They can neither write
  files nor start programs, but read pictures, and are trusted to be what a compiler has made.

Names cannot be animated, but switches can. So programs are removed, not only switched off.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import bpy
import farm_animation
from farm_events import PROGRAMS, SceneError
from farm_script import listed

_NO_NAME = re.compile(r"[\\\x00-\x1f]")
_MASKS_QUOTES = (3, 4)
"""The first Blender known to escape folders in Python correctly."""
_PROGRAMS_OF_A_CAMERA = (
    "custom_filepath",
    "custom_shader",
    "custom_bytecode",
    "custom_bytecode_hash",
)
"""A file, a text, and what was compiled."""


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
    # The scene's switch is for nodes; a camera only needs its type.
    shaded = nodes and any(
        getattr(each.cycles, "shading_system", False)
        or farm_animation.changes(each, "cycles.shading_system")
        for each in bpy.data.scenes
        if hasattr(each, "cycles")
    )
    if shaded or any(_may_be_a_program(each) for each in bpy.data.cameras):
        raise SceneError(
            "The scene uses OSL shaders, which are programs and run only in a sandbox. This"
            " render machine has none. Use other nodes, or have bubblewrap installed.",
            permanent=False,
        )
    for node in nodes:
        node.script, node.filepath = None, ""
        node.mode, node.bytecode, node.bytecode_hash = "INTERNAL", "", ""
    for camera in bpy.data.cameras:
        _remove_program(camera)


def _may_be_a_program(camera: Any) -> bool:
    return getattr(camera, "type", "") == "CUSTOM" or (
        any(getattr(camera, each, None) for each in _PROGRAMS_OF_A_CAMERA)
        and farm_animation.changes(camera, "type")
    )


def _remove_program(camera: Any) -> None:
    # Blender may compile the script in use when another property changes, so that one goes first.
    in_use = "custom_shader" if getattr(camera, "custom_mode", "") == "INTERNAL" else ""
    for name in sorted(_PROGRAMS_OF_A_CAMERA, key=lambda each: each != in_use):
        if getattr(camera, name, None):
            setattr(camera, name, None if name == "custom_shader" else "")


def _script_nodes() -> "Iterator[Any]":
    owners = [*bpy.data.materials, *bpy.data.worlds, *bpy.data.lights, *bpy.data.linestyles]
    trees = [each.node_tree for each in owners if each.node_tree] + list(bpy.data.node_groups)
    for tree in trees:
        yield from (node for node in tree.nodes if node.bl_idname == "ShaderNodeScript")
