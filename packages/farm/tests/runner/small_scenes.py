"""What the scripts that make scenes have in common. Run by Blender."""

from typing import Any

import bpy


def empty_scene(width: int, height: int) -> tuple[Any, Any]:
    """Begin anew; return a scene that Cycles renders at once, and its camera, where it was made."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene, camera


def shader(name: str, image: Any = None) -> Any:
    """Make a material that shines, red or with an image."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    out = tree.nodes.new("ShaderNodeOutputMaterial")
    light = tree.nodes.new("ShaderNodeEmission")
    light.inputs[0].default_value = (1, 0, 0, 1)
    tree.links.new(light.outputs[0], out.inputs[0])
    if image is not None:
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = image
        tree.links.new(node.outputs[0], light.inputs[0])
    return made
