"""Make a scene whose files lie all over its artist's machine. Run by Blender: -- FOLDER

The scene has planes in a row; each shows its own grey of white, by a file that is named in another
way. FOLDER gets ``desk/`` (the scene), ``lib/`` and, for paths of other systems, ``other/``.
"""

import os
import sys

import bpy

# Blender runs this file without the tests on the module path.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runner.small_scenes import grey_material, grey_png, plane, row_of_planes, save

root = sys.argv[sys.argv.index("--") + 1]
SHADES = {
    **{"absolute": 0.9, "relative": 0.8, "windows": 0.7, "network": 0.6, "tiles": 0.5},
    **{"sequence": 0.4, "linked": 0.3, "deep": 0.2},
}


def empty() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


lib, other = f"{root}/lib", f"{root}/other"
# The innermost library: a material whose image is named from its own folder.
empty()
grey_png(f"{lib}/deep/inner.png", SHADES["deep"])
image = bpy.data.images.load(f"{lib}/deep/inner.png")
grey_material("deep", image)
image.filepath = "//inner.png"
bpy.data.materials["deep"].use_fake_user = True
save(f"{lib}/deep/inner.blend")

# The library that uses it, and an image by its absolute path.
empty()
with bpy.data.libraries.load(f"{lib}/deep/inner.blend", link=True) as (_, wanted):
    wanted.materials = ["deep"]
grey_png(f"{lib}/linked.png", SHADES["linked"])
plane("linked", grey_material("linked", bpy.data.images.load(f"{lib}/linked.png")), 6)
plane("deep", bpy.data.materials["deep"], 7)
things = bpy.data.collections.new("things")
for each in list(bpy.context.scene.collection.objects):
    things.objects.link(each)
things.use_fake_user = True
save(f"{lib}/outer.blend")

# The scene.
scene = row_of_planes(len(SHADES))
with bpy.data.libraries.load(f"{lib}/outer.blend", link=True) as (_, wanted):
    wanted.collections = ["things"]
scene.collection.children.link(bpy.data.collections["things"])

names = ("absolute", "relative", "windows", "network")
for number, name in enumerate(names):
    grey_png(f"{other if name in ('windows', 'network') else lib}/{name}.png", SHADES[name])
    folder = other if name in ("windows", "network") else lib
    plane(name, grey_material(name, bpy.data.images.load(f"{folder}/{name}.png")), number)
for number in (1001, 1002):
    grey_png(f"{lib}/tiles/t.{number}.png", SHADES["tiles"])
image = bpy.data.images.load(f"{lib}/tiles/t.1001.png")
image.source = "TILED"
image.filepath = f"{lib}/tiles/t.<UDIM>.png"
image.tiles.new(1002)
plane("tiles", grey_material("tiles", image), 4)
for number in (1, 2, 3):
    grey_png(f"{lib}/frames/f_{number:04d}.png", SHADES["sequence"])
image = bpy.data.images.load(f"{lib}/frames/f_0001.png")
image.source = "SEQUENCE"
plane("sequence", grey_material("sequence", image), 5)
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
