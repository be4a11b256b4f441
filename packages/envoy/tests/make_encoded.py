"""Make scenes that encode the accents of their files in another way. Run by Blender: -- FOLDER

As macOS does: in the scenes they are decomposed, on the disk composed. FOLDER gets ``desk/film`` (a
project), in which ``scene.blend`` has planes in a row, each of its own grey of white. ``double``
names a file that is there twice.
"""

import os
import sys
import unicodedata

import bpy

# Blender runs this file without the tests on the module path.
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "farm", "tests"))

from runner.small_scenes import grey_material, grey_png, plane, row_of_planes, save

ROOT = sys.argv[-1]
FILM = f"{ROOT}/desk/film"
SHADES = {"wood": 0.9, "tiles": 0.7, "frames": 0.5, "linked": 0.3}


def composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def decomposed(path: str) -> str:
    return unicodedata.normalize("NFD", path)


def shown(name: str, file: str, source: str, path: str) -> None:
    """Have a material that shows a file, by the path that a scene has for it."""
    image = bpy.data.images.load(file)
    image.source = source
    image.filepath = path
    grey_material(name, image)


wood = grey_png(composed(f"{FILM}/Möbel/wood.png"), SHADES["wood"])
for number in (1001, 1002):
    tile = grey_png(composed(f"{FILM}/tiles/Fußböden.{number}.png"), SHADES["tiles"])
for number in (1, 2, 3):
    frame = grey_png(composed(f"{ROOT}/library/naïve_{number:04}.png"), SHADES["frames"])
linked = grey_png(composed(f"{ROOT}/library/été.png"), SHADES["linked"])
row_of_planes(len(SHADES))
shown("linked", linked, "FILE", decomposed("//été.png"))
bpy.data.materials["linked"].use_fake_user = True
library = composed(f"{ROOT}/library/Noël.blend")
save(library)
row_of_planes(len(SHADES))
shown("wood", wood, "FILE", decomposed("//Möbel/wood.png"))
shown("tiles", tile, "TILED", decomposed("//tiles/Fußböden.<UDIM>.png"))
shown("frames", frame, "SEQUENCE", decomposed(f"{ROOT}/library/naïve_0001.png"))
with bpy.data.libraries.load(library, link=True) as (_, wanted):
    wanted.materials = ["linked"]
for column, name in enumerate(SHADES):
    plane(name, bpy.data.materials[name], column)
bpy.data.libraries[0].filepath = decomposed(library)
save(f"{FILM}/scene.blend")

row_of_planes(len(SHADES))
# Neither has the form that the scene has.
for name in ("ä" + decomposed("ö"), decomposed("ä") + "ö"):
    double = grey_png(f"{FILM}/double/{name}.png", 0.1)
shown("double", double, "FILE", decomposed("//double/äö.png"))
plane("double", bpy.data.materials["double"], 0)
save(f"{FILM}/double.blend")
