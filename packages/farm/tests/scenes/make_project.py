"""Run by Blender: makes a project of linked scenes in the folder that is the last argument.

scenes/shot.blend (compressed) links libs/mid.blend, which links libs/deep.blend; these two link
each other. Images come as files, packed, as a sequence, as tiles and with all kinds of paths.
"""

import os
import sys

import bpy

ROOT = os.path.abspath(sys.argv[-1])


def place(path):
    return os.path.join(ROOT, *path.split("/"))


def save(path, **options):
    os.makedirs(os.path.dirname(place(path)), exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=place(path), relative_remap=False, **options)


def fresh(name):
    bpy.ops.wm.read_factory_settings(use_empty=False)
    bpy.data.objects["Cube"].name = name


def draw(*paths):
    for path in paths:
        image = bpy.data.images.new("drawn", 8, 8)
        image.file_format = "PNG"
        image.filepath_raw = place(path)
        os.makedirs(os.path.dirname(place(path)), exist_ok=True)
        image.save()


def show(name, path, source="FILE", pack=None):
    """Add an image that is named by ``path`` and cannot be dropped when the scene is saved."""
    if pack:
        image = bpy.data.images.load(place(pack))
        image.pack()
    else:
        image = bpy.data.images.new(name, 8, 8)
        image.source = source
    image.name, image.filepath, image.use_fake_user = name, path, True
    return image


def link(path, name):
    with bpy.data.libraries.load(place(path), link=True, relative=True) as (_, target):
        target.objects = [name]
    bpy.context.scene.collection.objects.link(target.objects[0])


def displace(image):
    """Use an image in a modifier too: that is another way to name it."""
    texture = bpy.data.textures.new("height", "IMAGE")
    texture.image = image
    bpy.data.objects["Cube"].modifiers.new("displace", "DISPLACE").texture = texture


with open(place("version.txt"), "w") as file:
    file.write("{}.{}".format(*bpy.app.version))

draw("textures/wood.png", "textures/metal.png", "textures/packed.png")
draw("seq/water_0003.png", "seq/water_0004.png", "tiles/rock.1001.png")

fresh("Deep")
show("metal", "//../textures/metal.png")
save("libs/deep.blend")
fresh("Mid")
save("libs/mid.blend")
link("libs/deep.blend", "Deep")
save("libs/mid.blend", compress=True)
bpy.ops.wm.open_mainfile(filepath=place("libs/deep.blend"))
link("libs/mid.blend", "Mid")
save("libs/deep.blend")

bpy.ops.wm.read_factory_settings(use_empty=False)
save("scenes/shot.blend")
link("libs/mid.blend", "Mid")
show("wood", "//../textures/wood.png")
displace(show("packed", "//../textures/packed.png", pack="textures/packed.png"))
show("water", "//../seq/water_0001.png", "SEQUENCE")
show("rock", "//../tiles/rock.<UDIM>.png", "TILED")
show("backslashes", "//..\\textures\\wood.png")
show("linux", "/home/artist/wood.png")
show("windows", "C:\\textures\\wood.png")
show("server", "\\\\server\\share\\wood.png")
show("bare", "textures/wood.png")
show("above", "//../../wood.png")
volume = bpy.data.volumes.new("smoke")
volume.filepath, volume.is_sequence, volume.use_fake_user = "//smoke_0001.vdb", True, True
save("scenes/shot.blend", compress=True)

bpy.ops.wm.read_factory_settings(use_empty=False)
save("scenes/nothing.blend")

bpy.ops.wm.read_factory_settings(use_empty=True)
for number in range(2000):
    many = bpy.data.images.new(str(number), 1, 1)
    many.source, many.use_fake_user = "SEQUENCE", True
    many.filepath = f"//a*{number}.png" if number % 2 else f"/a/{number}.png"
save("scenes/many.blend")

if bpy.app.version >= (5, 0):
    bpy.ops.wm.read_factory_settings(use_empty=False)
    save("scenes/packed_link.blend")
    library = place("libs/mid.blend")
    with bpy.data.libraries.load(library, link=True, relative=True, pack=True) as (_, target):
        target.objects = ["Mid"]
    bpy.context.scene.collection.objects.link(target.objects[0])
    save("scenes/packed_link.blend")
