"""Make scenes that encode the accents of their files in another way. Run by Blender: -- FOLDER

As macOS does: in the scenes they are decomposed, on the disk composed. FOLDER gets ``desk/film`` (a
project), in which ``scene.blend`` has planes in a row, each of its own grey of white. ``double``
names a file that is there twice.
"""

import os
import sys
import unicodedata

import bpy

ROOT = sys.argv[-1]
FILM = f"{ROOT}/desk/film"
SHADES = {"wood": 0.9, "tiles": 0.7, "frames": 0.5, "linked": 0.3}


def composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def decomposed(path: str) -> str:
    return unicodedata.normalize("NFD", path)


def png(path: str, shade: float) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image = bpy.data.images.new("made", 4, 4)
    image.colorspace_settings.name = "Non-Color"
    image.pixels = [shade, shade, shade, 1.0] * 16
    image.filepath_raw, image.file_format = path, "PNG"
    image.save()
    bpy.data.images.remove(image)
    return path


def shown(name: str, file: str, source: str, path: str) -> None:
    """Have a material that shows a file, by the path that a scene has for it."""
    image = bpy.data.images.load(file)
    image.colorspace_settings.name = "Non-Color"
    image.source = source
    image.filepath = path
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    nodes.clear()
    output, light = nodes.new("ShaderNodeOutputMaterial"), nodes.new("ShaderNodeEmission")
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = image
    if source == "SEQUENCE":
        texture.image_user.frame_duration = 10
        texture.image_user.use_auto_refresh = True
    links.new(texture.outputs[0], light.inputs[0])
    links.new(light.outputs[0], output.inputs[0])


def plane(name: str, column: int) -> None:
    bpy.ops.mesh.primitive_plane_add(size=1, location=(column, 0, 0))
    bpy.context.object.data.materials.append(bpy.data.materials[name])


def empty() -> bpy.types.Scene:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.cycles.pixel_filter_type = "BOX"
    scene.render.resolution_x, scene.render.resolution_y = 16, 4
    scene.view_settings.view_transform = "Raw"
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location, camera.data.type, camera.data.ortho_scale = (1.5, 0, 5), "ORTHO", 4
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


def save(path: str) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=path, relative_remap=False)


wood = png(composed(f"{FILM}/Möbel/wood.png"), SHADES["wood"])
for number in (1001, 1002):
    tile = png(composed(f"{FILM}/tiles/Fußböden.{number}.png"), SHADES["tiles"])
for number in (1, 2, 3):
    frame = png(composed(f"{ROOT}/library/naïve_{number:04}.png"), SHADES["frames"])
linked = png(composed(f"{ROOT}/library/été.png"), SHADES["linked"])
empty()
shown("linked", linked, "FILE", decomposed("//été.png"))
bpy.data.materials["linked"].use_fake_user = True
library = composed(f"{ROOT}/library/Noël.blend")
save(library)
empty()
shown("wood", wood, "FILE", decomposed("//Möbel/wood.png"))
shown("tiles", tile, "TILED", decomposed("//tiles/Fußböden.<UDIM>.png"))
shown("frames", frame, "SEQUENCE", decomposed(f"{ROOT}/library/naïve_0001.png"))
with bpy.data.libraries.load(library, link=True) as (_, wanted):
    wanted.materials = ["linked"]
for column, name in enumerate(SHADES):
    plane(name, column)
bpy.data.libraries[0].filepath = decomposed(library)
save(f"{FILM}/scene.blend")

empty()
# Neither has the form that the scene has.
for name in ("ä" + decomposed("ö"), decomposed("ä") + "ö"):
    double = png(f"{FILM}/double/{name}.png", 0.1)
shown("double", double, "FILE", decomposed("//double/äö.png"))
plane("double", 0)
save(f"{FILM}/double.blend")
