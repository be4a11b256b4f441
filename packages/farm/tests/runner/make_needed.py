"""Run by Blender: makes scenes that name a file which is gone, in ``needless/`` and ``needful/``.

In each scene of the first kind no pixel depends on the file, for a reason of its own; the second
kind looks alike, but some pixel does. The last argument is the folder that they go to.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import bpy

# Blender runs this file without the tests on the module path.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runner.small_scenes import compositor, empty_scene, file_output, shader, socket, strips

ROOT = sys.argv[-1]


def fresh() -> tuple[Any, Any]:
    """A red plane before a camera: return the scene and the plane."""
    scene, camera = empty_scene(16, 8)
    camera.location = (0, 0, 5)
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=2, y_subdivisions=2, size=2)
    plane = bpy.context.object
    plane.data.materials.append(shader("red"))
    return scene, plane


def gone() -> Any:
    """An image of which there is no file."""
    made = bpy.data.images.new("gone", 4, 4)
    made.source, made.filepath = "FILE", "//gone.png"
    return made


def hidden(name: str, data: Any) -> Any:
    """An object that only others show."""
    made = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(made)
    made.hide_render = True
    return made


def save(name: str) -> None:
    path = os.path.join(ROOT, f"{name}.blend")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=path, relative_remap=False)


def bumps() -> Any:
    made = bpy.data.textures.new("bumps", "IMAGE")
    made.image = gone()
    return made


def displace(plane: Any) -> Any:
    made = plane.modifiers.new("bumps", "DISPLACE")
    made.texture = bumps()
    return made


def mesh_cache(plane: Any) -> Any:
    made = plane.modifiers.new("cache", "MESH_CACHE")
    made.filepath = "//gone.png"
    return made


def volume(plane: Any) -> Any:
    data = bpy.data.volumes.new("smoke")
    data.filepath = "//gone.png"
    made = plane.modifiers.new("smoke", "VOLUME_TO_MESH")
    made.object = hidden("smoke", data)
    return made


def nodes(plane: Any) -> Any:
    """Geometry nodes with an image as their input."""
    tree = bpy.data.node_groups.new("shape", "GeometryNodeTree")
    socket(tree, "in", "NodeSocketGeometry", "INPUT")
    socket(tree, "out", "NodeSocketGeometry", "OUTPUT")
    image = socket(tree, "image", "NodeSocketImage", "INPUT")
    made = plane.modifiers.new("nodes", "NODES")
    made.node_group = tree
    first, last = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    tree.links.new(first.outputs[0], last.inputs[0])
    if hasattr(made, "properties"):  # since Blender 5.1
        getattr(made.properties.inputs, image).value = gone()
    else:
        made[image] = gone()
    return made


def modifiers() -> None:
    kinds: list[Callable[[Any], Any]] = [displace, mesh_cache, volume, nodes]
    for kind in kinds:
        _, plane = fresh()
        kind(plane).show_render = False
        save(f"needless/off_{kind.__name__}")
    _, plane = fresh()
    made = displace(plane)
    for frame in (1, 2):
        made.show_render = frame == 2
        made.keyframe_insert("show_render", frame=frame)
    save("needful/animated_modifier")
    _, plane = fresh()
    displace(plane).show_render = False
    plane.modifiers.new("again", "DISPLACE").texture = bpy.data.textures["bumps"]
    save("needful/same_texture")
    _, plane = fresh()
    displace(plane).show_render = False
    plane.modifiers.new("rain", "PARTICLE_SYSTEM")
    plane.particle_systems[0].settings.texture_slots.add().texture = bpy.data.textures["bumps"]
    save("needful/texture_of_particles")


def constraint() -> None:
    for kind in ("needless", "needful"):
        _, plane = fresh()
        other = hidden("other", None)
        displaced = hidden("displaced", plane.data.copy())
        displace(displaced)
        made = plane.constraints.new("SHRINKWRAP")
        made.target = displaced
        made.mute = kind == "needless"
        plane.constraints.new("COPY_LOCATION").target = other
        save(f"{kind}/muted_constraint" if made.mute else f"{kind}/constraint")


def override() -> None:
    for kind in ("needless", "needful"):
        scene, plane = fresh()
        plane.data.materials[0] = shader("textured", gone())
        layers = [scene.view_layers[0], scene.view_layers.new("second")]
        for layer in layers if kind == "needless" else layers[1:]:
            layer.material_override = shader("clay")
        save(f"{kind}/override")
    scene, _ = fresh()
    scene.view_layers[0].material_override = shader("textured", gone())
    save("needful/overriding")


def textured() -> tuple[Any, Any]:
    scene, plane = fresh()
    plane.data.materials[0] = shader("textured", gone())
    return scene, plane


def colour(scene: Any, channel: int) -> Any:
    made = strips(scene)
    try:
        return made.new_effect("colour", "COLOR", channel, frame_start=1, frame_end=10)
    except TypeError:  # since Blender 5.0
        return made.new_effect("colour", "COLOR", channel, frame_start=1, length=9)


def sequencer() -> None:
    scene, _ = textured()
    colour(scene, 1)
    save("needless/sequencer")
    scene, _ = textured()
    colour(scene, 1).mute = True
    save("needful/muted_strip")
    scene, _ = textured()
    colour(scene, 1)
    scene.render.use_sequencer = False
    save("needful/unused_sequencer")
    scene, _ = textured()
    other = bpy.data.scenes.new("cut")
    other.render.engine = "CYCLES"
    strips(other).new_scene("of it", scene, 1, 1)
    bpy.context.window.scene = other
    save("needful/strip_of_scene")
    scene, _ = fresh()
    colour(scene, 1)
    strips(scene).new_image("late", "//gone.png", 2, 20)
    save("needless/late_strip")


def compositing() -> None:
    """Of layers and images that reach the picture, or do not."""
    scene, _ = textured()
    tree, _, picture = compositor(scene)
    for link in list(tree.links):
        tree.links.remove(link)
    tree.links.new(tree.nodes.new("CompositorNodeRGB").outputs[0], picture)
    save("needless/layers_aside")
    layers = next(each for each in tree.nodes if each.type == "R_LAYERS")
    file_output(tree, layers.outputs[0], "//out/")
    save("needful/layers_in_file")

    for name, makes in (("needful/image", "mute none"), ("needless/muted_image", "mute image")):
        scene, _ = fresh()
        tree, rendered, picture = compositor(scene)
        image = tree.nodes.new("CompositorNodeImage")
        image.image = gone()
        over = tree.nodes.new("CompositorNodeBrightContrast")
        tree.links.new(image.outputs[0], over.inputs[0])
        tree.links.new(over.outputs[0], picture)
        over.mute = True  # hands its picture on
        image.mute = makes == "mute image"
        save(name)

    scene, _ = fresh()
    tree, rendered, picture = compositor(scene)
    image = tree.nodes.new("CompositorNodeImage")
    image.image = gone()
    over = tree.nodes.new("CompositorNodeAlphaOver")
    first, second = (each for each in over.inputs if each.type == "RGBA")
    tree.links.new(rendered, first)
    tree.links.new(image.outputs[0], second)
    tree.links.new(over.outputs[0], picture)
    over.mute = True
    save("needless/muted_mix")
    over.mute = False
    save("needful/mix")
    next(each for each in tree.links if each.from_node == image).is_muted = True
    save("needless/muted_link")

    # A group that makes nothing of its second input.
    scene, _ = fresh()
    tree, rendered, picture = compositor(scene)
    inner = bpy.data.node_groups.new("inner", "CompositorNodeTree")
    for each in ("one", "two"):
        socket(inner, each, "NodeSocketColor", "INPUT")
    socket(inner, "out", "NodeSocketColor", "OUTPUT")
    start, end = inner.nodes.new("NodeGroupInput"), inner.nodes.new("NodeGroupOutput")
    inner.links.new(start.outputs[0], end.inputs[0])
    group = tree.nodes.new("CompositorNodeGroup")
    group.node_tree = inner
    image = tree.nodes.new("CompositorNodeImage")
    image.image = gone()
    tree.links.new(rendered, group.inputs[0])
    tree.links.new(image.outputs[0], group.inputs[1])
    tree.links.new(group.outputs[0], picture)
    save("needless/unused_input")
    inner.links.new(start.outputs[1], end.inputs[0])
    save("needful/used_input")


def imports() -> None:
    """Geometry nodes that import a file, since Blender 4.5."""
    if not hasattr(bpy.types, "GeometryNodeImportPLY"):
        return
    _, plane = fresh()
    tree = nodes(plane).node_group
    # The input has an image that is gone, too.
    plane.modifiers.clear()
    plane.modifiers.new("nodes", "NODES").node_group = tree
    node = tree.nodes.new("GeometryNodeImportPLY")
    node.inputs[0].default_value = "//gone.png"
    save("needless/import_aside")
    last = next(each for each in tree.nodes if each.type == "GROUP_OUTPUT")
    tree.links.new(node.outputs[0], last.inputs[0])
    save("needful/imported")


def slots() -> None:
    for name, face, modifier in (
        ("needless/slot", 0, ""),
        ("needless/slot_smooth", 0, "SUBSURF"),
        ("needful/slot", 1, ""),
        ("needful/slot_solid", 0, "SOLIDIFY"),
    ):
        _, plane = fresh()
        plane.data.materials.append(shader("textured", gone()))
        plane.data.polygons[1].material_index = face
        if modifier:
            plane.modifiers.new("of it", modifier)
        if modifier == "SOLIDIFY":
            plane.modifiers[0].material_offset = 1
        save(name)


modifiers()
constraint()
override()
sequencer()
compositing()
slots()
imports()
