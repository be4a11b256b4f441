"""Make an artist's simulations, and scenes that name folders and files. Run by Blender: -- FOLDER

FOLDER gets ``desk/film`` (a project with scenes), ``sims`` (caches that Blender has baked) and
private files beside them.
"""

import gzip
import os
import shutil
import struct
import sys
import time
import zipfile

import bpy

ROOT = sys.argv[-1]
FILM = f"{ROOT}/desk/film"
SIMS = f"{ROOT}/sims"
OCEAN = ("disp", "foam", "normal")


def write(path: str, data: bytes) -> str:
    path = f"{ROOT}/{path}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def png(path: str) -> str:
    os.makedirs(os.path.dirname(f"{ROOT}/{path}"), exist_ok=True)
    image = bpy.data.images.new("made", 1, 1)
    image.filepath_raw, image.file_format = f"{ROOT}/{path}", "PNG"
    image.save()
    bpy.data.images.remove(image)
    return f"{ROOT}/{path}"


def empty() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def save(name: str) -> None:
    os.makedirs(FILM, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=f"{FILM}/{name}.blend", relative_remap=False)


def cube(kind: str) -> "bpy.types.Modifier":
    bpy.ops.mesh.primitive_cube_add(size=4)
    return bpy.context.object.modifiers.new("made", kind)


def fluid(folder: str) -> "bpy.types.FluidDomainSettings":
    made = cube("FLUID")
    made.fluid_type = "DOMAIN"
    made.domain_settings.cache_directory = folder
    return made.domain_settings


def ocean(folder: str) -> None:
    """Bake an ocean; Blender does it beside what goes on, and without a window forgets it then."""
    made = cube("OCEAN")
    made.resolution, made.use_foam, made.use_normals = 1, True, True
    made.filepath, made.frame_end = folder, 2
    bpy.ops.object.ocean_bake(modifier="made")
    wanted = [f"{folder}/{name}_000{frame}.exr" for name in OCEAN for frame in (1, 2)]
    until = time.monotonic() + 120
    while not all(os.path.exists(each) and os.path.getsize(each) for each in wanted):
        assert time.monotonic() < until, "the ocean is not baked"
        time.sleep(0.05)


def external(folder: str) -> None:
    points = cube("CLOTH").point_cache
    points.use_external, points.filepath = True, folder


def show(path: str, source: str = "FILE") -> None:
    image = bpy.data.images.new(os.path.basename(path), 1, 1)
    image.source, image.filepath, image.use_fake_user = source, path, True


# What real simulations leave, of both formats.
empty()
for surface, grid in (("BOBJECT", "OPENVDB"), ("OBJECT", "UNI")):
    domain = fluid(f"{SIMS}/{grid}")
    thing = bpy.context.object
    domain.domain_type, domain.resolution_max, domain.use_mesh = "LIQUID", 8, True
    domain.cache_mesh_format, domain.cache_data_format = surface, grid
    domain.cache_type, domain.cache_frame_end = "ALL", 2
    bpy.ops.mesh.primitive_uv_sphere_add(radius=1)
    flow = bpy.context.object.modifiers.new("made", "FLUID")
    flow.fluid_type = "FLOW"
    flow.flow_settings.flow_type = "LIQUID"
    bpy.context.view_layer.objects.active = thing
    bpy.ops.fluid.bake_all()
ocean(f"{SIMS}/ocean")
external(f"{SIMS}/ocean")
external(f"{SIMS}/cloth")
write("sims/cloth/cloth_000001_00.bphys", b"BPHYSICS")
mesh_cache = cube("MESH_CACHE")
mesh_cache.filepath = write("sims/mesh.mdd", struct.pack(">2If", 1, 1, 0.0))
for ending, head in (("abc", b"Ogawa"), ("usda", b"#usda 1.0")):
    bpy.ops.cachefile.open(filepath=write(f"sims/set.{ending}", head))
with zipfile.ZipFile(f"{SIMS}/set.usdz", "w") as archive:
    archive.writestr("set.usdc", b"PXR-USDC")
bpy.ops.cachefile.open(filepath=f"{SIMS}/set.usdz")
save("simulated")

# A new domain empties its folder.
empty()
fluid(f"{ROOT}/lone")
save("lone")
empty()
shutil.rmtree(f"{ROOT}/lone", ignore_errors=True)
shutil.copytree(f"{SIMS}/UNI", f"{ROOT}/lone")

empty()
fluid(ROOT)
external(ROOT)
save("sweeping")
empty()
# Blender has removed what was there, and begun a cache of its own.
for part in ("config", "data"):
    shutil.rmtree(f"{ROOT}/{part}", ignore_errors=True)
os.mkdir(f"{ROOT}/data")
shutil.copy(f"{SIMS}/OPENVDB/data/fluid_data_0001.vdb", f"{ROOT}/data/real_0001.vdb")

# What an artist has besides, some of it under names that a cache has, or in its folders.
PRIVATE = b"PRIVATE letters and keys"
SECRETS = [
    *(
        write("backup.tar.gz", gzip.compress(PRIVATE)),
        png("passport.png"),
        png("pets/cat_0001.png"),
    ),
    *(write("notes.obj", b"# " + PRIVATE), write("data/log_0001.uni", gzip.compress(PRIVATE))),
    *(write("data/mail_2024.uni", PRIVATE), write("data/mail_0001.vdb", PRIVATE)),
    *(write("mesh/mail_0001.bobj.gz", gzip.compress(PRIVATE)), png("data/scan_0001.png")),
    *(write("mesh/mail_0002.bobj.gz", gzip.compress(b"PK\3\4\x14\0\0\0\x08\0" + PRIVATE)),),
    *(write("mesh/mail_0001.obj", b"# " + PRIVATE), write("disp_0001.exr", PRIVATE)),
    *(png("normal_0001.exr.png"), write("mail_000001_00.bphys", PRIVATE)),
    *(write("fluidsurface_final_0001.bobj.gz", gzip.compress(PRIVATE)),),
    *(write("deep/data/mail_0001.bobj.gz", gzip.compress(bytes(16) + PRIVATE)),),
    *(write("code/Gateway.ts", b"GATE = 'PRIVATE'" * 30), write("code/G.dv", b"\x1f\x07PRIVATE")),
    *(write("code/bench.bmp", b"BM = 'PRIVATE'" * 30), write("code/x.hdr", b"#?/bin/sh PRIVATE")),
    *(write("code/film.mov", b"The free PRIVATE"), write("code/letter.pfa", b"%!PS-Adobe PRIVATE")),
    *(write("code/true.ttf", b"true PRIVATE"), write("code/song.aiff", b"FORM of PRIVATE")),
    *(write("code/taxes.psd", b"8BPS PRIVATE"), write("code/gift.gif", b"GIF8 PRIVATE")),
    *(write("code/a.sgi", b"\x01\xdaPRIVATE"), write("code/a.dds", b"DDS PRIVATE")),
    *(write("code/a.flv", b"FLV PRIVATE"), write("code/lamp.ies", b"my IESNA # PRIVATE")),
    *(
        write("old.blend.tar.gz", gzip.compress(PRIVATE)),
        write("keys.blend", gzip.compress(PRIVATE)),
    ),
    *(write("sql.blend.gz", gzip.compress(PRIVATE)),),
]
with zipfile.ZipFile(f"{ROOT}/taxes.usdz", "w") as archive:
    archive.writestr("taxes.txt", PRIVATE)
SECRETS.append(f"{ROOT}/taxes.usdz")
LIBRARIES = [each for each in SECRETS if ".blend" in each]
os.symlink(f"{ROOT}/deep/data", f"{ROOT}/particles")

empty()
for path in (ROOT, f"{ROOT}/pets", f"{ROOT}/*.png", f"{ROOT}/pets/*.png"):
    for source in ("FILE", "SEQUENCE"):
        show(path, source)
save("folders")

# One sequence, named again and again: each time it is another path.
os.makedirs(f"{ROOT}/many")
for number in range(200):
    os.link(f"{ROOT}/pets/cat_0001.png", f"{ROOT}/many/f_{number:04d}.png")
empty()
for number in range(100):
    show(f"{ROOT}/many" + "/." * number + f"/f_{number:04d}.png", "SEQUENCE")
    show(f"{ROOT}/many" + "/." * number + "/f_0001.png", "SEQUENCE")
    show(f"X:/show/many/f_{number:04d}.png", "SEQUENCE")
save("again")

empty()
for number in range(len(LIBRARIES)):
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("thing", None))
    save(f"library{number}")
    empty()
for number in range(len(LIBRARIES)):
    with bpy.data.libraries.load(f"{FILM}/library{number}.blend", link=True) as (_, wanted):
        wanted.objects = ["thing"]
    bpy.context.scene.collection.objects.link(wanted.objects[0])
for library, path in zip(bpy.data.libraries, LIBRARIES, strict=True):
    library.filepath = path
for path in SECRETS:
    cube("MESH_CACHE").filepath = path
    bpy.ops.cachefile.open(filepath=path)
    if not path.startswith((f"{ROOT}/passport", f"{ROOT}/pets")) and not path.endswith(".png"):
        show(path)
    bpy.data.volumes.new("made").filepath = path
    bpy.data.sounds.load(path).use_fake_user = True
    lamp = bpy.data.lights.new("made", "SPOT")
    lamp.use_nodes, lamp.use_fake_user = True, True
    node = lamp.node_tree.nodes.new("ShaderNodeTexIES")
    node.mode, node.filepath = "EXTERNAL", path
for block in (*bpy.data.volumes, *bpy.data.cache_files):
    block.use_fake_user = True
save("naming")
# What it would free now are simulations that are at work, and libraries that are none.
os._exit(0)
