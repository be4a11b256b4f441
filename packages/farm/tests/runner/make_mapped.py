"""Make a scene whose files lie all over its artist's machine. Run by Blender: -- FOLDER

The scene has planes in a row; each shows its own grey of white, by a file that is named in another
way. FOLDER gets ``desk/`` (the scene), ``lib/`` and, for paths of other systems, ``other/``.
"""

import os
import sys

import bpy

root = sys.argv[sys.argv.index("--") + 1]
SHADES = {
    **{"absolute": 0.9, "relative": 0.8, "windows": 0.7, "network": 0.6, "tiles": 0.5},
    **{"sequence": 0.4, "linked": 0.3, "deep": 0.2},
}


def png(path: str, shade: float) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image = bpy.data.images.new("made", 4, 4)
    image.colorspace_settings.name = "Non-Color"
    image.pixels = [shade, shade, shade, 1.0] * 16
    image.filepath_raw, image.file_format = path, "PNG"
    image.save()
    bpy.data.images.remove(image)


def empty() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def plane(name: str, image: "bpy.types.Image | None", column: int) -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add(size=1, location=(column, 0, 0))
    thing = bpy.context.object
    thing.name = name
    if image is not None:
        thing.data.materials.append(material(name, image))
    return thing


def material(name: str, image: bpy.types.Image) -> bpy.types.Material:
    image.colorspace_settings.name = "Non-Color"
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    nodes.clear()
    output, light = nodes.new("ShaderNodeOutputMaterial"), nodes.new("ShaderNodeEmission")
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = image
    if image.source == "SEQUENCE":
        texture.image_user.frame_duration = 10
        texture.image_user.use_auto_refresh = True
    links.new(texture.outputs[0], light.inputs[0])
    links.new(light.outputs[0], output.inputs[0])
    return made


def save(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=path, relative_remap=False)


lib, other = f"{root}/lib", f"{root}/other"
# The innermost library: a material whose image is named from its own folder.
empty()
png(f"{lib}/deep/inner.png", SHADES["deep"])
image = bpy.data.images.load(f"{lib}/deep/inner.png")
material("deep", image)
image.filepath = "//inner.png"
bpy.data.materials["deep"].use_fake_user = True
save(f"{lib}/deep/inner.blend")

# The library that uses it, and an image by its absolute path.
empty()
with bpy.data.libraries.load(f"{lib}/deep/inner.blend", link=True) as (_, wanted):
    wanted.materials = ["deep"]
png(f"{lib}/linked.png", SHADES["linked"])
shown = plane("linked", bpy.data.images.load(f"{lib}/linked.png"), 6)
shown = plane("deep", None, 7)
shown.data.materials.append(bpy.data.materials["deep"])
things = bpy.data.collections.new("things")
for each in list(bpy.context.scene.collection.objects):
    things.objects.link(each)
things.use_fake_user = True
save(f"{lib}/outer.blend")

# The scene.
empty()
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.samples, scene.cycles.use_denoising = 1, False
scene.cycles.pixel_filter_type = "BOX"
scene.render.resolution_x, scene.render.resolution_y = 32, 4
scene.render.resolution_percentage = 100
scene.view_settings.view_transform = "Raw"
camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
camera.location, camera.data.type, camera.data.ortho_scale = (3.5, 0, 5), "ORTHO", 8
scene.collection.objects.link(camera)
scene.camera = camera
with bpy.data.libraries.load(f"{lib}/outer.blend", link=True) as (_, wanted):
    wanted.collections = ["things"]
scene.collection.children.link(bpy.data.collections["things"])

names = ("absolute", "relative", "windows", "network")
for number, name in enumerate(names):
    png(f"{other if name in ('windows', 'network') else lib}/{name}.png", SHADES[name])
    folder = other if name in ("windows", "network") else lib
    plane(name, bpy.data.images.load(f"{folder}/{name}.png"), number)
for number in (1001, 1002):
    png(f"{lib}/tiles/t.{number}.png", SHADES["tiles"])
image = bpy.data.images.load(f"{lib}/tiles/t.1001.png")
image.source = "TILED"
image.filepath = f"{lib}/tiles/t.<UDIM>.png"
image.tiles.new(1002)
plane("tiles", image, 4)
for number in (1, 2, 3):
    png(f"{lib}/frames/f_{number:04d}.png", SHADES["sequence"])
image = bpy.data.images.load(f"{lib}/frames/f_0001.png")
image.source = "SEQUENCE"
plane("sequence", image, 5)
bpy.data.images["relative.png"].filepath = "//..\\..\\lib\\relative.png"
bpy.data.images["windows.png"].filepath = "D:\\Show\\Lib\\Windows.png"
bpy.data.images["network.png"].filepath = "\\\\Server\\share\\network.png"
font = f"{root}/font.ttf"
if os.path.exists(font):
    curve = bpy.data.curves.new("text", "FONT")
    curve.font, curve.body = bpy.data.fonts.load(font), "x"
    words = bpy.data.objects.new("text", curve)
    words.location = (3, 50, 0)
    scene.collection.objects.link(words)
save(f"{root}/desk/scenes/scene.blend")
