"""Run by Blender: makes scenes with simulations, below the folder that is the last argument."""

import math
import os
import sys
from typing import Any

import bpy

# Blender runs this file without the tests on the module path.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runner.small_scenes import compositor, empty_scene, shader, strips, volume_shader

ROOT = sys.argv[-1]


def fresh() -> Any:
    """An empty scene, seen from the side."""
    scene, camera = empty_scene(64, 48)
    camera.location, camera.rotation_euler = (0, -8, 0), (math.pi / 2, 0, 0)
    camera.data.type, camera.data.ortho_scale = "ORTHO", 8
    return scene


def shining(thing: Any) -> Any:
    """Give an object a light of its own."""
    thing.data.materials.append(shader("red"))
    return thing


def cube() -> Any:
    bpy.ops.mesh.primitive_cube_add(size=1.5, location=(0, 0, 2))
    return shining(bpy.context.object)


def sheet() -> Any:
    bpy.ops.mesh.primitive_grid_add(
        x_subdivisions=6, y_subdivisions=6, size=3, location=(0, 0, 2), rotation=(0.6, 0.3, 0)
    )
    return shining(bpy.context.object)


def save(name: str) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(ROOT, f"{name}.blend"), compress=False)


def rigid(name: str, baked: bool = False, hidden: bool = False) -> None:
    fresh()
    falling = cube()
    bpy.ops.rigidbody.world_add()
    bpy.ops.rigidbody.object_add()
    falling.hide_viewport = hidden
    if baked:
        bpy.context.scene.rigidbody_world.point_cache.frame_end = 12
        bpy.ops.ptcache.bake_all(bake=True)
    save(name)


def deformed(name: str, kind: str, viewport: bool = True) -> None:
    fresh()
    modifier = sheet().modifiers.new("simulated", kind)
    if kind == "SOFT_BODY":
        modifier.settings.use_goal = False
    modifier.show_viewport = viewport
    save(name)


def in_a_hidden_collection() -> None:
    """Hidden from who works on the scene; the render shows it."""
    scene = fresh()
    grid = sheet()
    grid.modifiers.new("simulated", "CLOTH")
    collection = bpy.data.collections.new("Folded")
    scene.collection.children.link(collection)
    scene.collection.objects.unlink(grid)
    collection.objects.link(grid)
    collection.hide_viewport = True
    save("folded")


def shown_by_another(name: str, way: str, kind: str) -> None:
    """A scene "Shot" that has nothing but what it shows of the scene that simulates."""
    scene = fresh()
    shot = scene.copy()
    shot.name, shot.use_fake_user = "Shot", True
    if kind == "RIGID":
        cube()
        bpy.ops.rigidbody.world_add()
        bpy.ops.rigidbody.object_add()
    else:
        sheet().modifiers.new("simulated", kind)
    if way == "set":
        shot.background_set = scene
    elif way == "node":
        _, rendered, _ = compositor(shot)
        rendered.node.scene = scene
    else:
        strips(shot).new_scene("scene", scene, 1, 1)
    save(name)


def smoke() -> None:
    """A flow that burns in a domain, of which each frame is computed when it is shown."""
    fresh()
    bpy.ops.mesh.primitive_cube_add(size=5)
    domain = bpy.context.object
    settings = domain.modifiers.new("fluid", "FLUID")
    settings.fluid_type = "DOMAIN"
    settings = settings.domain_settings
    settings.domain_type, settings.resolution_max = "GAS", 16
    settings.cache_type = "REPLAY"
    # Where only the artist's machine has it; Blender makes it at once.
    settings.cache_directory = os.path.join(ROOT, "cache of the artist")
    volume, shown = volume_shader("smoke")
    shown.inputs["Emission Strength"].default_value = 3
    domain.data.materials.append(volume)
    bpy.ops.mesh.primitive_ico_sphere_add(radius=0.7, location=(0, 0, -1.5))
    flow = bpy.context.object
    flow.hide_render = True
    modifier = flow.modifiers.new("fluid", "FLUID")
    modifier.fluid_type = "FLOW"
    modifier.flow_settings.flow_type, modifier.flow_settings.flow_behavior = "SMOKE", "INFLOW"
    save("smoke")


def zone() -> None:
    """A cube that geometry nodes move a little in each frame."""
    fresh()
    group = bpy.data.node_groups.new("zone", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    kinds = ("NodeGroupInput", "NodeGroupOutput", "GeometryNodeSimulationInput")
    given, made, first = (group.nodes.new(kind) for kind in kinds)
    last = group.nodes.new("GeometryNodeSimulationOutput")
    moved = group.nodes.new("GeometryNodeSetPosition")
    first.pair_with_output(last)
    moved.inputs["Offset"].default_value = (0.2, 0, 0)
    name = "Geometry"
    group.links.new(given.outputs[0], first.inputs[name])
    group.links.new(first.outputs[name], moved.inputs[name])
    group.links.new(moved.outputs[name], last.inputs[name])
    group.links.new(last.outputs[name], made.inputs[0])
    modifier = cube().modifiers.new("nodes", "NODES")
    modifier.node_group = group
    modifier.show_viewport = False
    save("zone")


rigid("rigid")
rigid("hidden", hidden=True)
rigid("baked", baked=True)
deformed("cloth", "CLOTH")
deformed("soft", "SOFT_BODY")
deformed("unseen", "CLOTH", viewport=False)
in_a_hidden_collection()
shown_by_another("set", "set", "RIGID")
shown_by_another("node", "node", "CLOTH")
shown_by_another("node_rigid", "node", "RIGID")
shown_by_another("strip", "strip", "CLOTH")
smoke()
if bpy.app.version >= (4, 0):
    zone()
