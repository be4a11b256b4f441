"""Make an artist's files. Run by Blender: -- FOLDER

FOLDER gets ``desk/film`` (a project with scenes), ``textures``, ``libs`` and private files.
"""

import os
import sys
import wave

import bpy

ROOT = sys.argv[-1]
FILM = f"{ROOT}/desk/film"


def empty() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def png(path: str) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    image = bpy.data.images.new("made", 1, 1)
    image.filepath_raw, image.file_format = path, "PNG"
    image.save()
    bpy.data.images.remove(image)
    return path


def show(path: str, name: str = "", source: str = "FILE") -> None:
    """Have an image of this path, which no file needs to be at."""
    image = bpy.data.images.new(name or os.path.basename(path), 1, 1)
    image.source = source
    image.filepath = path
    image.use_fake_user = True


def link(path: str, kind: str, name: str) -> None:
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        setattr(wanted, kind, [name])
    if kind == "objects":
        bpy.context.scene.collection.objects.link(bpy.data.objects[name])


def save(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=path, relative_remap=False)


def thing(name: str) -> None:
    bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, None))


for name in ("wood.png", "near.png", "tiles/t.1001.png", "tiles/t.1002.png", "film/f_01.png"):
    png(f"{ROOT}/textures/{name}")
for name in ("film/f_02.png", "film/note.png", "film/f_aa.png"):
    png(f"{ROOT}/textures/{name}")
png(f"{ROOT}/libs/sub/beside.png")
png(f"{ROOT}/old/unused.png")
for name in ("maps/inside.png", "maps/named.png", "maps/Foreign.png", "lonely.png"):
    png(f"{FILM}/{name}")

empty()
show("//sub/beside.png")
thing("deep")
save(f"{ROOT}/libs/deep.blend")
empty()
link(f"{ROOT}/libs/deep.blend", "objects", "deep")
thing("mid")
save(f"{ROOT}/desk/shared/mid.blend")

# Windows knows no file of this name, and so the farm takes none.
empty()
thing("reserved")
save(f"{ROOT}/libs/con.blend")
empty()
link(f"{ROOT}/libs/con.blend", "objects", "reserved")
show(f"{ROOT}/textures/wood.png")
save(f"{FILM}/reserved.blend")

empty()
link(f"{ROOT}/desk/shared/mid.blend", "objects", "mid")
show(f"{ROOT}/textures/wood.png")
show("//../../textures/near.png")
show(f"{ROOT}/textures/tiles/t.<UDIM>.png", source="TILED")
show(f"{ROOT}/textures/film/f_01.png", source="SEQUENCE")
show(f"{FILM}/maps/inside.png")
show("//maps/named.png")
show("X:\\Jobs\\film\\Maps\\foreign.png")
with wave.open(f"{ROOT}/textures/hum.wav", "wb") as sound:
    sound.setparams((1, 2, 8000, 0, "NONE", ""))
    sound.writeframes(bytes(16))
bpy.data.sounds.load(f"{ROOT}/textures/hum.wav").use_fake_user = True
save(f"{FILM}/scene.blend")

empty()
show("//maps/named.png")
save(f"{FILM}/plain.blend")

empty()
show(f"{ROOT}/gone/away.png", "away")
show("//maps/lost.png", "lost")
show("Y:\\nowhere\\else.png", "else")
save(f"{FILM}/lacking.blend")


def world(path: str) -> None:
    """Have the background show an image of this path."""
    show(path, "sky")
    made = bpy.data.worlds.new("world")
    made.use_nodes = True
    tree = made.node_tree
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image = bpy.data.images["sky"]
    tree.links.new(texture.outputs[0], tree.nodes["Background"].inputs[0])
    bpy.context.scene.world = made


for name, path in (("needful", f"{ROOT}/gone/sky.png"), ("beside", "//sky/day.png")):
    empty()
    world(path)
    save(f"{FILM}/{name}.blend")

empty()
save(f"{FILM}/cloth.blend")  # Only a scene that has a place keeps caches beside it.
bpy.ops.mesh.primitive_plane_add()
bpy.context.object.modifiers.new("cloth", "CLOTH").point_cache.use_disk_cache = True
save(f"{FILM}/cloth.blend")
os.makedirs(f"{FILM}/blendcache_cloth", exist_ok=True)
with open(f"{FILM}/blendcache_cloth/506C616E65_000001_00.bphys", "wb") as cache:
    cache.write(b"BPHYSICS")

# What a stranger's scene may try.
for path in (".ssh/id_rsa", "keys/id_rsa.png", "keys/taxes.pdf", "keys/font.ttf", "keys/lib.blend"):
    os.makedirs(os.path.dirname(f"{ROOT}/{path}"), exist_ok=True)
    with open(f"{ROOT}/{path}", "w") as file:
        file.write("PRIVATE")
png(f"{ROOT}/.cache/thumbnail.png")
os.symlink(f"{ROOT}/keys/taxes.pdf", f"{ROOT}/textures/link.png")
os.mkfifo(f"{ROOT}/textures/pipe.png")
empty()
for number, path in enumerate(
    (
        *(f"{ROOT}/.ssh/id_rsa", f"{ROOT}/keys/id_rsa.png", f"{ROOT}/keys/taxes.pdf"),
        *(f"{ROOT}/.cache/thumbnail.png", f"{ROOT}/textures/link.png", "/etc/passwd"),
        *(f"{ROOT}/textures/pipe.png", f"{ROOT}/keys", "/dev/zero", "//../../.ssh/id_rsa"),
        *("//../../keys/taxes.pdf", "/proc/self/environ"),
    )
):
    show(path, f"bad{number}")
show(f"{ROOT}/keys/taxes.pdf", "all", source="SEQUENCE")
show(f"{ROOT}/textures/wood.png", "good")
save(f"{FILM}/hostile.blend")
