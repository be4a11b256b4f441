"""Run by Blender: scenes whose settings were lost or mixed up on farms; see docs/fidelity.md.

Below the folder that is the last argument. What shines is red and fills the picture; where its red
says which frame it is, frame 20 has all of it.
"""

import os
import sys
from typing import Any

import bpy

# Blender runs this file without the tests on the module path.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runner.small_scenes import compositor, empty_scene, shader, strips

ROOT = sys.argv[-1]
SIZE = (16, 8)


def bare(scene: Any) -> None:
    """What is computed is what is written."""
    scene.view_settings.view_transform = "Raw"
    scene.render.dither_intensity = 0


def fresh() -> tuple[Any, Any]:
    """A plane before a camera that sees a unit for each pixel; return the scene and the plane."""
    scene, camera = empty_scene(*SIZE)
    bare(scene)
    scene.frame_end = 20
    camera.location = (0, 0, 5)
    camera.data.type, camera.data.ortho_scale = "ORTHO", SIZE[0]
    bpy.ops.mesh.primitive_plane_add(size=100)
    plane = bpy.context.object
    plane.data.materials.append(shader("red"))
    return scene, plane


def save(name: str) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(ROOT, f"{name}.blend"))


def animate(owner: Any, path: str, values: dict[int, Any]) -> None:
    for frame, value in values.items():
        setattr(owner, path, value)
        owner.keyframe_insert(path, frame=frame)


def strength(plane: Any) -> Any:
    return plane.active_material.node_tree.nodes["Emission"].inputs["Strength"]


def numbered(plane: Any, *frames: int) -> None:
    """The red of a frame says which one it is."""
    animate(strength(plane), "default_value", {frame: frame % 20 / 20 for frame in frames})


def all_numbered() -> tuple[Any, Any]:
    scene, plane = fresh()
    numbered(plane, *range(1, 20))
    return scene, plane


def sized() -> None:
    """Half as large again as its own numbers say."""
    scene, _ = fresh()
    scene.render.resolution_percentage = 150
    save("sized")


def eyes_later() -> None:
    """Both eyes side by side, from the second frame on."""
    scene, _ = fresh()
    image = scene.render.image_settings
    scene.render.use_multiview = True
    image.views_format = "STEREO_3D"
    image.stereo_3d_format.display_mode = "SIDEBYSIDE"
    animate(scene.render, "use_multiview", {1: False, 2: True})
    scene.frame_set(1)
    save("eyes_later")


def sampled() -> None:
    """A plane with an edge across the picture, of an animated number of samples."""
    scene, plane = fresh()
    plane.location = (50, 0, 0)
    plane.rotation_euler = (0, 0, 0.3)
    animate(scene.cycles, "samples", {1: 1, 2: 1})
    save("sampled")


def layered() -> None:
    """The layer that sees the plane is switched on by an animation, the other is not."""
    scene, plane = fresh()
    shown = scene.view_layers[0]
    shown.name = "Shown"
    empty = scene.view_layers.new("Empty")
    hidden = bpy.data.collections.new("plane")
    scene.collection.children.link(hidden)
    scene.collection.objects.unlink(plane)
    hidden.objects.link(plane)
    empty.layer_collection.children["plane"].exclude = True
    animate(shown, "use", {1: True, 2: True})
    animate(empty, "use", {1: False, 2: False})
    save("layered")


def stretched() -> None:
    """An animation that takes twice the time."""
    scene, _ = all_numbered()
    scene.render.frame_map_old, scene.render.frame_map_new = 100, 200
    save("stretched")


def viewed(name: str, own: bool) -> None:
    """A scene's own view: a stop brighter, and sRGB; or one that its files have of their own."""
    scene, plane = fresh()
    strength(plane).default_value = 0.25
    settings = scene.view_settings
    if own:
        image = scene.render.image_settings
        image.color_management = "OVERRIDE"
        settings = image.view_settings
    settings.view_transform, settings.exposure = "Standard", 1
    save(name)


def foreign_view() -> None:
    """A view and a look of another configuration, as only that one's Blender could save them."""
    scene, _ = fresh()
    scene.view_settings.view_transform = "Filmic"
    scene.view_settings.look = "High Contrast"
    path = os.path.join(ROOT, "foreign_view.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=False)
    with open(path, "rb") as file:
        data = file.read()
    for ours, theirs in ((b"Filmic\0", b"Studio\0"), (b"High Contrast\0", b"Studio's look\0")):
        assert data.count(ours) == 1
        data = data.replace(ours, theirs)
    with open(path, "wb") as file:
        file.write(data)


def sequence() -> None:
    """A texture of three pictures, of which each belongs to its frame."""
    _, plane = fresh()
    folder = os.path.join(ROOT, "seq")
    os.makedirs(folder, exist_ok=True)
    for number, colour in enumerate([(1, 0, 0, 1), (0, 1, 0, 1), (0, 0, 1, 1)], start=1):
        made = bpy.data.images.new("made", 8, 8)
        made.pixels = [*colour] * 64
        made.filepath_raw = os.path.join(folder, f"t_{number:04}.png")
        made.file_format = "PNG"
        made.save()
        bpy.data.images.remove(made)
    image = bpy.data.images.load(os.path.join(folder, "t_0001.png"))
    image.source = "SEQUENCE"
    material = shader("pictures", image)
    node = next(each for each in material.node_tree.nodes if each.bl_idname == "ShaderNodeTexImage")
    node.image_user.frame_duration = 3
    node.image_user.frame_start = 1
    node.image_user.use_auto_refresh = True
    plane.data.materials[0] = material
    save("sequence")
    image.filepath = "//seq/t_0001.png"
    save("sequence")


def blurred() -> None:
    """An edge that moves four pixels with each frame."""
    scene, plane = fresh()
    scene.cycles.samples = 256
    scene.cycles.pixel_filter_type = "BOX"
    scene.render.use_motion_blur = True
    scene.render.motion_blur_shutter = 0.5
    plane.scale = (0.5, 1, 1)
    animate(
        plane, "location", {frame: (-30 + 4 * ((frame - 1) % 5), 0, 0) for frame in range(-1, 16)}
    )
    for curve in curves(plane):
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"
    save("blurred")


def curves(owner: Any) -> Any:
    action = owner.animation_data.action
    if hasattr(action, "fcurves"):
        return action.fcurves
    return [
        each
        for layer in action.layers
        for strip in layer.strips
        for bag in strip.channelbags
        for each in bag.fcurves
    ]


def second_scene(name: str) -> tuple[Any, Any]:
    """A scene without a plane; return it, and another one that is numbered."""
    numbered_one, _ = all_numbered()
    numbered_one.name = "B"
    numbered_one.frame_set(7)
    scene = bpy.data.scenes.new(name)
    bpy.context.window.scene = scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    bare(scene)
    camera = bpy.data.objects.new("Other", bpy.data.cameras.new("Other"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.frame_end = 20
    return scene, numbered_one


def other_scene() -> None:
    """The scene that is open is another one, at another frame."""
    scene, _ = second_scene("A")
    scene.frame_set(3)
    save("other_scene")


def composited_scenes() -> None:
    """The picture is what another scene renders."""
    scene, other = second_scene("A")
    _, rendered, _ = compositor(scene)
    rendered.node.scene = other
    scene.frame_set(3)
    save("composited_scenes")


def scene_strip() -> None:
    """The sequencer shows another scene, from its second frame on."""
    scene, other = second_scene("A")
    all_strips = strips(scene)
    all_strips.new_scene("B", other, channel=1, frame_start=2)
    save("scene_strip")


def half_transparent() -> None:
    """A plane that lets half of the light through, before a transparent film."""
    scene, plane = fresh()
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.cycles.samples = 256
    tree = plane.active_material.node_tree
    mix = tree.nodes.new("ShaderNodeMixShader")
    clear = tree.nodes.new("ShaderNodeBsdfTransparent")
    out = tree.nodes["Material Output"]
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(tree.nodes["Emission"].outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], out.inputs[0])
    save("half_transparent")


def far() -> None:
    """Frames whose numbers are long, and one before zero."""
    scene, plane = fresh()
    numbered(plane, -3, 9999, 10001, 123456)
    scene.frame_end = 200000
    save("far")


def side_by_side() -> None:
    """Both eyes in one picture, of a scene whose own format is another one."""
    scene, _ = fresh()
    scene.render.use_multiview = True
    image = scene.render.image_settings
    image.file_format = "PNG"
    image.views_format = "STEREO_3D"
    image.stereo_3d_format.display_mode = "SIDEBYSIDE"
    save("side_by_side")


def denoised() -> None:
    scene, _ = all_numbered()
    scene.cycles.use_denoising = True
    save("denoised")


def deep() -> None:
    scene, _ = all_numbered()
    image = scene.render.image_settings
    image.file_format = "PNG"
    image.color_depth = "16"
    save("deep")


sized()
eyes_later()
sampled()
layered()
stretched()
viewed("viewed", own=False)
viewed("viewed_by_file", own=True)
foreign_view()
sequence()
blurred()
other_scene()
composited_scenes()
scene_strip()
half_transparent()
far()
side_by_side()
denoised()
deep()
