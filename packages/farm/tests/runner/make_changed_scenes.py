"""Make scenes that Blender renders otherwise than their artists mean: for `test_what_blender_says`.

The last argument is the folder that they go to.
"""

import os
import sys
from typing import Any

import bpy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from runner.small_scenes import compositor, empty_scene, shader

ROOT = sys.argv[-1]


def fresh() -> tuple[Any, Any]:
    scene, camera = empty_scene(16, 8)
    camera.location = (0, 0, 5)
    bpy.ops.mesh.primitive_cube_add()
    return scene, bpy.context.object


def save(name: str) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(ROOT, f"{name}.blend"), compress=False)


def modifier() -> None:
    _, cube = fresh()
    cube.modifiers.new("Smooth", "CORRECTIVE_SMOOTH").rest_source = "BIND"
    save("modifier")


def override() -> None:
    """An asset is changed in a shot, and then gets another name in its library."""
    scene, cube = fresh()
    asset = bpy.data.collections.new("Asset")
    scene.collection.children.link(asset)
    cube.name = "Main"
    part = bpy.data.objects.new("Part", bpy.data.meshes.new("Part"))
    part.parent = cube
    for each in (cube, part):
        asset.objects.link(each)
    save("library")
    scene, cube = fresh()
    bpy.data.objects.remove(cube)
    path = os.path.join(ROOT, "library.blend")
    with bpy.data.libraries.load(path, link=True, relative=True) as (_, wanted):
        wanted.collections = ["Asset"]
    linked = wanted.collections[0]
    scene.collection.children.link(linked)
    mine = linked.override_hierarchy_create(scene, bpy.context.view_layer)
    next(each for each in mine.all_objects if each.name.startswith("Main")).location.x = 3
    save("override")
    bpy.ops.wm.open_mainfile(filepath=path)
    bpy.data.objects["Main"].name = "Renamed"
    save("library")


def volume() -> None:
    scene, _ = fresh()
    with open(os.path.join(ROOT, "smoke.vdb"), "wb") as file:
        file.write(b"\0" * 64)
    made = bpy.data.volumes.new("smoke")
    made.filepath = os.path.join(ROOT, "smoke.vdb")
    scene.collection.objects.link(bpy.data.objects.new("Smoke", made))
    save("volume")


def images() -> None:
    """Pictures of several formats: cut off, changed in the middle, and no picture at all."""
    formats = {"png": "PNG", "jpg": "JPEG", "exr": "OPEN_EXR", "tif": "TIFF", "tga": "TARGA"}
    for ending, name in formats.items():
        for state in ("whole", "cut", "changed", "nothing"):
            _, cube = fresh()
            path = os.path.join(ROOT, f"{state}.{ending}")
            made = bpy.data.images.new("made", 64, 64, float_buffer=ending == "exr")
            made.pixels = [(7 * number % 31) / 31 for number in range(64 * 64 * 4)]
            made.filepath_raw, made.file_format = path, name
            made.save()
            cube.data.materials.append(shader("pictures", bpy.data.images.load(path)))
            save(f"{state}_{ending}")
            size = os.path.getsize(path)
            with open(path, "r+b") as file:
                if state == "cut":
                    file.truncate(size * 3 // 4)
                elif state == "changed":
                    file.seek(size // 2)
                    file.write(b"\0\1\2\3\4")
                elif state == "nothing":
                    file.write(b"Not a picture, but a text." * 100)
    # One that no pixel needs.
    cube.hide_render = True
    save("hidden_picture")


def denoised() -> None:
    """By OptiX: a number, where the Blender that makes the scene does not offer it."""
    scene, _ = fresh()
    scene.cycles.use_denoising = True
    scene.cycles["denoiser"] = 2
    save("optix")


def composited() -> None:
    scene, _ = fresh()
    tree, rendered, picture = compositor(scene)
    node = tree.nodes.new("CompositorNodeDenoise")
    tree.links.new(rendered, node.inputs[0])
    tree.links.new(node.outputs[0], picture)
    save("composited")


def sequence() -> None:
    """Four pictures: of a material, and of the compositing."""
    scene, cube = fresh()
    folder = os.path.join(ROOT, "seq")
    os.makedirs(folder, exist_ok=True)
    for number in range(1, 5):
        made = bpy.data.images.new("made", 8, 8)
        made.filepath_raw, made.file_format = os.path.join(folder, f"s_{number:04}.png"), "PNG"
        made.save()
        bpy.data.images.remove(made)
    image = bpy.data.images.load(os.path.join(folder, "s_0001.png"))
    image.source = "SEQUENCE"
    material = shader("pictures", image)
    (node,) = (each for each in material.node_tree.nodes if each.type == "TEX_IMAGE")
    node.image_user.frame_duration, node.image_user.frame_start = 4, 11
    node.image_user.use_auto_refresh = True
    cube.data.materials.append(material)
    save("sequence")
    cube.data.materials.clear()
    tree, _, picture = compositor(scene)
    shown = tree.nodes.new("CompositorNodeImage")
    shown.image = image
    shown.frame_duration, shown.frame_start, shown.use_auto_refresh = 4, 11, True
    tree.links.new(shown.outputs[0], picture)
    save("composited_sequence")


modifier()
override()
volume()
images()
denoised()
composited()
sequence()
