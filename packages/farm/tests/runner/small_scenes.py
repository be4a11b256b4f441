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


def compositor(scene: Any) -> tuple[Any, Any, Any]:
    """Let a scene be composited; return the nodes, what is rendered, and where the picture goes."""
    if not hasattr(scene, "compositing_node_group"):  # until Blender 4.5
        scene.use_nodes = True
        tree = scene.node_tree
        return tree, tree.nodes["Render Layers"].outputs[0], tree.nodes["Composite"].inputs[0]
    tree = bpy.data.node_groups.new("compositor", "CompositorNodeTree")
    scene.compositing_node_group = tree
    socket(tree, "Image", "NodeSocketColor", "OUTPUT")
    rendered = tree.nodes.new("CompositorNodeRLayers").outputs[0]
    picture = tree.nodes.new("NodeGroupOutput").inputs[0]
    tree.links.new(rendered, picture)
    return tree, rendered, picture


def socket(tree: Any, name: str, kind: str, way: str) -> str:
    """Give a group of nodes a socket; return its identifier."""
    if hasattr(tree, "interface"):  # since Blender 4.0
        return str(tree.interface.new_socket(name, socket_type=kind, in_out=way).identifier)
    sockets = tree.inputs if way == "INPUT" else tree.outputs
    return str(sockets.new(kind, name).identifier)


def file_output(tree: Any, source: Any, folder: str, label: str = "", slots: Any = ()) -> Any:
    """A node that writes what it is given into files.

    Parameters:
        slots: their names, where there is not just Blender's own.
    """
    node = tree.nodes.new("CompositorNodeOutputFile")
    node.label = label
    if hasattr(node, "directory"):  # Blender 5.0
        node.directory = folder
        node.format.media_type = "IMAGE"
        for name in slots or ["Image"]:
            node.file_output_items.new("RGBA", name)
            tree.links.new(source, node.inputs[-2])
        return node
    node.base_path = folder
    if slots:
        node.file_slots.clear()
    for name in slots:
        node.file_slots.new(name)
    for each in node.inputs:
        tree.links.new(source, each)
    return node


def strips(scene: Any) -> Any:
    """The strips of a scene's sequencer, which is made if need be."""
    editor = scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences
