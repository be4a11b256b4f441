"""Choices of a job in a scene beyond the documented parameters; without them, the scene decides."""

from collections.abc import Iterable
from typing import Any

import bpy
import farm_animation
from farm_events import SceneError

_SMALLEST_SIDE = 4
_SMALLEST_TILE = 8
"""Blender's own limits, in pixels: it would replace smaller numbers by them."""
_EEVEE = ("BLENDER_EEVEE", "BLENDER_EEVEE_NEXT")
_SHOWN = 20
"""Most names that one message lists."""


def choose_scene(name: str) -> Any:
    """Make a scene of the file the current one, and return it. "" keeps the current one."""
    if name:
        bpy.context.window.scene = _named(bpy.data.scenes, name, "scene", "the file")
    return bpy.context.scene


def set_view_layer(scene: Any, name: str) -> None:
    """Render only one view layer; "" keeps those that are switched on."""
    if not name:
        return
    wanted = _named(scene.view_layers, name, "view layer", f"the scene '{scene.name}'")
    farm_animation.hold(scene, "view_layers[].use")
    for layer in scene.view_layers:
        layer.use = layer == wanted
    bpy.context.window.view_layer = wanted


def set_camera(scene: Any, name: str) -> None:
    """Render all frames with one camera; "" keeps the scene's own."""
    if not name:
        return
    cameras = [thing for thing in scene.objects if thing.type == "CAMERA"]
    wanted = _named(cameras, name, "camera", f"the scene '{scene.name}'")
    # A marker would replace this camera by its own. Blender 5 does so at once when another marker
    # loses its camera, so this one is set when none has any.
    for marker in scene.timeline_markers:
        marker.camera = None
    scene.camera = wanted


def set_size(scene: Any, width: int, height: int) -> None:
    """Set the size of the frames in pixels; 0 keeps the scene's own width or height."""
    if not width and not height:
        return
    render = scene.render
    for side, pixels in (("output_width", width), ("output_height", height)):
        if 0 < pixels < _SMALLEST_SIDE:
            raise SceneError(f"{side} is {pixels}, but Blender renders at least 4 pixels.")
    scale = render.resolution_percentage
    own = render.resolution_x * scale // 100, render.resolution_y * scale // 100
    render.resolution_percentage = 100
    render.resolution_x, render.resolution_y = width or own[0], height or own[1]


def set_samples(scene: Any, samples: int) -> None:
    """Set how many samples a pixel gets; 0 keeps the scene's own. The engine must be set."""
    if not samples:
        return
    engine = scene.render.engine
    farm_animation.hold(
        scene, "cycles.samples", "eevee.taa_render_samples", "view_layers[].samples"
    )
    if engine == "CYCLES":
        scene.cycles.samples = samples
    elif engine in _EEVEE:
        scene.eevee.taa_render_samples = samples
    else:
        raise SceneError(f"samples is for Cycles and EEVEE, but {engine} renders this scene.")
    for layer in scene.view_layers:
        layer.samples = 0  # a layer's own number would win


def set_tile_size(scene: Any, pixels: int) -> None:
    """Set the side of Cycles' tiles; 0 keeps the scene's own. The engine must be set."""
    if not pixels:
        return
    engine = scene.render.engine
    if engine != "CYCLES":
        raise SceneError(f"tile_size is for Cycles, but {engine} renders this scene.")
    if pixels < _SMALLEST_TILE:
        raise SceneError(f"tile_size is {pixels}, but Cycles' tiles have 8 pixels or more.")
    farm_animation.hold(scene, "cycles.use_auto_tile", "cycles.tile_size")
    scene.cycles.use_auto_tile, scene.cycles.tile_size = True, pixels


def _named(things: "Iterable[Any]", name: str, kind: str, where: str) -> Any:
    """Return the item of that name. Raises SceneError, with the existing names."""
    found = {thing.name: thing for thing in things}
    if name in found:
        return found[name]
    names = sorted(found)
    listed = ", ".join(f"'{each}'" for each in names[:_SHOWN])
    if len(names) > _SHOWN:
        listed += f" and {len(names) - _SHOWN} more"
    raise SceneError(
        f"There is no {kind} '{name}' in {where}. It has {listed or f'no {kind}'}; names are"
        " compared exactly."
    )
