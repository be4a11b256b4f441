"""What the scripts that make scenes have in common. Run by Blender."""

import os
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


def row_of_planes(columns: int) -> Any:
    """Create an empty scene whose camera sees planes in a row, 4x4 pixels each; return it."""
    scene, camera = empty_scene(4 * columns, 4)
    scene.cycles.pixel_filter_type = "BOX"
    scene.view_settings.view_transform = "Raw"
    camera.location, camera.data.type = ((columns - 1) / 2, 0, 5), "ORTHO"
    camera.data.ortho_scale = columns
    return scene


def plane(name: str, material: Any, column: int) -> None:
    """Add a plane to such a row."""
    bpy.ops.mesh.primitive_plane_add(size=1, location=(column, 0, 0))
    bpy.context.object.name = name
    bpy.context.object.data.materials.append(material)


def grey_png(path: str, shade: float) -> str:
    """Write a PNG of 4x4 pixels, and the folders that it needs; return its path.

    Parameters:
        shade: from 0 to 1, without a colour space.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image = bpy.data.images.new("made", 4, 4)
    image.colorspace_settings.name = "Non-Color"
    image.pixels = [shade, shade, shade, 1.0] * 16
    image.filepath_raw, image.file_format = path, "PNG"
    image.save()
    bpy.data.images.remove(image)
    return path


def grey_material(name: str, image: Any) -> Any:
    """Create a material that shines with the values of an image, or of an image sequence."""
    image.colorspace_settings.name = "Non-Color"
    made = shader(name, image)
    if image.source == "SEQUENCE":
        node = next(each for each in made.node_tree.nodes if each.type == "TEX_IMAGE")
        node.image_user.frame_duration = 10
        node.image_user.use_auto_refresh = True
    return made


def save(path: str) -> None:
    """Save the scene, and the folders that it needs, with all paths in it unchanged."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=path, relative_remap=False)


def volume_shader(name: str) -> tuple[Any, Any]:
    """Make a material of a volume; return it and its one shader."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    out = tree.nodes.new("ShaderNodeOutputMaterial")
    volume = tree.nodes.new("ShaderNodeVolumePrincipled")
    tree.links.new(volume.outputs[0], out.inputs["Volume"])
    return made, volume


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
