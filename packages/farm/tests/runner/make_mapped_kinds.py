"""Make scenes, each with one kind of file elsewhere on its artist's machine. Run by Blender.

The last argument is a folder, which gets ``desk/``, the scenes, and ``lib/``, all that they name.
Each picture is white where the file is found, and else black, unless the render fails.
"""

import base64
import os
import struct
import sys
import zlib
from typing import Any

import bpy

# Blender runs this file without the tests on the module path.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runner.small_scenes import compositor, empty_scene, shader, socket, strips, volume_shader

ROOT = sys.argv[-1]
LIB = os.path.join(ROOT, "lib")
DESK = os.path.join(ROOT, "desk")
VOLUME = (
    "c-rmV&rTCT9KiA22Gkg}nxIh+(t{YHHleiqX*6krhIla{hz3uaZ9BD_Y<EewG!QO(@(noXQ;=}-N$}_+cx?1gXS!"
    "P~Qs~+$(enKyKYr6;%5P^j<xqxcV(IxCP5L6^vKG)q(aeg{Vmc{O^RvlJQOqV6XVRHud45667DTozN;B<&GA_y}3"
    "CFYQ+jnJittNy~wq3Js%o!OYZM-n;^0IoYp71`baBoU)=jL>fFUYtg<Eo6ZWecNFaJP)Axiv038lsrCuE@rCSNt;"
    "4a*mAr-fFcvalJFL=vFss!t*TGQT4of&2rw|l&ym8dd0+}gjuXx4UuS=_NMS|be>icwz(}zhMYr5RW&+2s^e*R;o"
    "YWX#PrmdFS8#$o{*s~B>POu#<aMut*^AlUh7n;imFlAt_x4i!*c5L8TDg7SEky-4(HHtw}dTcvgy>13`~y)wQs3T"
    "&+yEKykgTcDsuIM+cBml>bkaCa9urc%&Pdg4qdk~E}O3%tL)aQuZpHEUYZ*pKPaDaQFCxH_w&8;+Y|D{v8;D3YkQ"
    "f$wpxb)0000007jk95&!@I0001tHlHQHNt#OE%uXTz00000&JCR<00000000<uyaj}l<&?g;vy+G&MF0Q*005j7p"
    "CteQ00000z~FqA00U@-ClK|^>>>gH0002sZ1K-w00000000;YZ!lpXx$p#{e!1=6__Q;hy9NLN0000000000z~AS"
    "y1i)zPoH7(OANLQOPsFx400000000000002a1b?CjMqTHWp{TjHU`LV9asmJV0000000000@W1m}0^r<gh9?e1&8"
    "K1WApigX0000000000BY+J6z&Vx+PaKMxe?zoSPJ0rLj_IkfZ>m>@>bostPR1P>lX+cxIJqjn#CK#PzoR`^Syf{4"
    "oB7p#)9ag4UDxnf{z_D#`X;*SFR1zp@m<--?`r9w{;5-svN!9GSB`uiyDL{@)k=@b%c}Bnd|x*5``XfB<>5XXZ<s"
    "j`caGM;a~^un-N2QHetmXV-jh}LdQ@IlmDl43vXMW~)`H4E09M{5aR"
)
"""A cube of 50 in the grid "density", 1 wide: OpenVDB, compressed."""


def fresh(*, plane: bool = False) -> tuple[Any, Any]:
    scene, camera = empty_scene(16, 8)
    scene.view_settings.view_transform = "Raw"
    camera.location = (0, 0, 5)
    camera.data.type, camera.data.ortho_scale = "ORTHO", 1
    if not plane:
        return scene, None
    bpy.ops.mesh.primitive_plane_add(size=20)
    thing = bpy.context.object
    light = shader("white")
    light.node_tree.nodes["Emission"].inputs[0].default_value = (1, 1, 1, 1)
    thing.data.materials.append(light)
    return scene, thing


def save(name: str) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(DESK, f"{name}.blend"), relative_remap=False)


def white(name: str) -> str:
    path = os.path.join(LIB, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    made = bpy.data.images.new("made", 16, 8)
    made.pixels = [1.0] * (16 * 8 * 4)
    made.filepath_raw, made.file_format = path, "PNG"
    made.save()
    bpy.data.images.remove(made)
    return path


def mesh_cache() -> None:
    """The plane is out of sight, and comes by its cache."""
    _, plane = fresh(plane=True)
    corners = [tuple(vertex.co) for vertex in plane.data.vertices]
    path = os.path.join(LIB, "moved.mdd")
    with open(path, "wb") as file:
        file.write(struct.pack(">2i2f", 2, len(corners), 0.0, 1.0))
        for _ in range(2):
            for corner in corners:
                file.write(struct.pack(">3f", *corner))
    for vertex in plane.data.vertices:
        vertex.co.x += 1000
    made = plane.modifiers.new("cache", "MESH_CACHE")
    made.cache_format, made.filepath = "MDD", path
    made.frame_start = 1
    save("mesh_cache")


def volume() -> None:
    scene, _ = fresh()
    path = os.path.join(LIB, "smoke.vdb")
    with open(path, "wb") as file:
        file.write(zlib.decompress(base64.b85decode(VOLUME)))
    made = bpy.data.volumes.new("smoke")
    made.filepath = path
    material, glow = volume_shader("smoke")
    glow.inputs["Density"].default_value = 0
    tree = material.node_tree
    density = tree.nodes.new("ShaderNodeAttribute")
    density.attribute_name = "density"
    tree.links.new(density.outputs["Fac"], glow.inputs["Emission Strength"])
    made.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new("Smoke", made))
    save("volume")


def imported() -> None:
    """The plane is what geometry nodes import, since Blender 4.5."""
    if not hasattr(bpy.types, "GeometryNodeImportOBJ"):
        return
    _, plane = fresh(plane=True)
    path = os.path.join(LIB, "plane.obj")
    with open(path, "w") as file:
        file.write("v -9 -9 0\nv 9 -9 0\nv 9 9 0\nv -9 9 0\nf 1 2 3 4\n")
    tree = bpy.data.node_groups.new("imports", "GeometryNodeTree")
    socket(tree, "out", "NodeSocketGeometry", "OUTPUT")
    node = tree.nodes.new("GeometryNodeImportOBJ")
    node.inputs[0].default_value = path
    shown = tree.nodes.new("GeometryNodeSetMaterial")
    shown.inputs["Material"].default_value = plane.data.materials[0]
    realised = tree.nodes.new("GeometryNodeRealizeInstances")
    tree.links.new(node.outputs[0], realised.inputs[0])
    tree.links.new(realised.outputs[0], shown.inputs[0])
    tree.links.new(shown.outputs[0], tree.nodes.new("NodeGroupOutput").inputs[0])
    plane.modifiers.new("imports", "NODES").node_group = tree
    save("imported")


def clip() -> None:
    scene, _ = fresh()
    tree, _, picture = compositor(scene)
    node = tree.nodes.new("CompositorNodeMovieClip")
    node.clip = bpy.data.movieclips.load(white("clip/clip_0001.png"))
    tree.links.new(node.outputs[0], picture)
    save("clip")


def strip() -> None:
    scene, _ = fresh()
    path = white("strip/strip_0001.png")
    strips(scene).new_image("pictures", path, 1, 1)
    save("strip")


os.makedirs(LIB, exist_ok=True)
os.makedirs(DESK, exist_ok=True)
mesh_cache()
volume()
imported()
clip()
strip()
