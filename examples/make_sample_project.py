"""Make examples/sample_project: a small animated scene that links a library and a texture.

    blender -b --factory-startup -P examples/make_sample_project.py

Runs in Blender 3.4, whose files newer versions open, too. All paths inside the project are
relative, so that it renders wherever it is put. One frame takes about 0.3 s on two cores.
"""

import math
import shutil
import tempfile
from pathlib import Path

import bpy

TARGET = Path(__file__).resolve().parent / "sample_project"
# Blender writes into a .blend where it was saved: made elsewhere, it tells nothing of a home.
PROJECT = Path(tempfile.gettempdir()) / "sample_project"
LIBRARY = PROJECT / "library" / "props.blend"
TEXTURE = PROJECT / "textures" / "checker.png"
SCENE = PROJECT / "scene.blend"

FRAMES = 24
WIDTH, HEIGHT, SAMPLES = 320, 180, 8


def main():
    shutil.rmtree(PROJECT, ignore_errors=True)
    for path in (LIBRARY, TEXTURE, SCENE):
        path.parent.mkdir(parents=True, exist_ok=True)
    make_texture()
    make_library()
    make_scene()
    for path in (LIBRARY, TEXTURE, SCENE):
        target = TARGET / path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    shutil.rmtree(PROJECT)


def make_texture(size=256, squares=8):
    """Write a checker of two warm greys."""
    dark, light = (0.16, 0.17, 0.20, 1.0), (0.72, 0.70, 0.66, 1.0)
    step = size // squares
    image = bpy.data.images.new("checker", size, size)
    pixels = []
    for y in range(size):
        for x in range(size):
            pixels.extend(dark if (x // step + y // step) % 2 else light)
    image.pixels = pixels
    image.filepath_raw = str(TEXTURE)
    image.file_format = "PNG"
    image.save()


def make_library():
    """Write the props: a head on a stand, rings around it and two balls."""
    empty_file()
    props = bpy.data.collections.new("Props")
    bpy.context.scene.collection.children.link(props)

    bpy.ops.mesh.primitive_monkey_add(size=1.5, location=(0, 0, 1.35))
    head = bpy.context.object
    head.name = "Head"
    head.modifiers.new("Smooth", "SUBSURF").levels = 1
    head.modifiers["Smooth"].render_levels = 1
    finish(head, props, "Coral", (0.85, 0.16, 0.10), roughness=0.35)

    bpy.ops.mesh.primitive_cylinder_add(vertices=64, radius=1.0, depth=0.4, location=(0, 0, 0.2))
    stand = bpy.context.object
    stand.name = "Stand"
    bevel = stand.modifiers.new("Bevel", "BEVEL")
    bevel.width, bevel.segments = 0.06, 3
    finish(stand, props, "Slate", (0.05, 0.09, 0.16), roughness=0.25, smooth=False)

    bpy.ops.mesh.primitive_torus_add(
        major_radius=1.35,
        minor_radius=0.06,
        major_segments=64,
        minor_segments=8,
        location=(0, 0, 1.3),
    )
    ring = bpy.context.object
    ring.name = "Ring"
    ring.rotation_euler = (math.radians(20), math.radians(12), 0)
    finish(ring, props, "Gold", (1.0, 0.62, 0.18), roughness=0.2, metallic=1.0)

    for name, location, colour in (
        ("Ball teal", (1.75, -0.9, 0.35), (0.02, 0.42, 0.40)),
        ("Ball cream", (-1.7, -0.6, 0.35), (0.80, 0.68, 0.45)),
    ):
        bpy.ops.mesh.primitive_uv_sphere_add(segments=32, ring_count=16, radius=0.35)
        ball = bpy.context.object
        ball.name, ball.location = name, location
        finish(ball, props, name, colour, roughness=0.15)

    save(LIBRARY)


def make_scene():
    """Write the scene: the linked props on a checkered floor, turning once in 24 frames."""
    empty_file()
    scene = bpy.context.scene
    # Saved first: a path can only be relative to a file that has a place.
    save(SCENE)

    with bpy.data.libraries.load("//library/props.blend", link=True, relative=True) as (_, chosen):
        chosen.collections = ["Props"]
    props = bpy.data.objects.new("Props", None)
    props.instance_type = "COLLECTION"
    props.instance_collection = chosen.collections[0]
    scene.collection.objects.link(props)
    # One step short of a full turn, so that the film loops.
    turn(props, 1, -40)
    turn(props, FRAMES + 1, 320)

    floor()
    light("Key", (4, -4, 6), energy=900, size=3, colour=(1.0, 0.93, 0.84))
    light("Rim", (-4, 3, 4), energy=600, size=2, colour=(0.60, 0.75, 1.0))
    world = bpy.data.worlds.new("World")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.16, 0.20, 0.28, 1)
    scene.world = world

    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location = (0, -8.0, 3.1)
    camera.rotation_euler = (math.radians(75), 0, 0)
    camera.data.lens = 42
    scene.collection.objects.link(camera)
    scene.camera = camera

    scene.frame_start, scene.frame_end = 1, FRAMES
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.use_persistent_data = True
    scene.render.filepath = "//renders/frame_"
    scene.cycles.samples = SAMPLES
    scene.cycles.max_bounces = 3
    scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling = False
    save(SCENE)


def empty_file():
    bpy.ops.wm.read_factory_settings(use_empty=True)


def save(path):
    # No .blend1 beside a file that is saved twice.
    bpy.context.preferences.filepaths.save_version = 0
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True, relative_remap=True)


def finish(thing, collection, name, colour, roughness, metallic=0.0, smooth=True):
    """Give an object its material and move it into ``collection``."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    inputs = material.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value = (*colour, 1)
    inputs["Roughness"].default_value = roughness
    inputs["Metallic"].default_value = metallic
    thing.data.materials.append(material)
    for polygon in thing.data.polygons:
        polygon.use_smooth = smooth
    for owner in thing.users_collection:
        owner.objects.unlink(thing)
    collection.objects.link(thing)


def turn(thing, frame, degrees):
    """Set a linear key of the rotation around the vertical axis."""
    thing.rotation_euler.z = math.radians(degrees)
    thing.keyframe_insert("rotation_euler", index=2, frame=frame)
    for curve in thing.animation_data.action.fcurves:
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"


def floor():
    bpy.ops.mesh.primitive_plane_add(size=24)
    plane = bpy.context.object
    plane.name = "Floor"
    material = bpy.data.materials.new("Checker")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load("//textures/checker.png")
    mapping = nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = (3, 3, 3)
    coordinates = nodes.new("ShaderNodeTexCoord")
    surface = nodes["Principled BSDF"]
    surface.inputs["Roughness"].default_value = 0.3
    links.new(coordinates.outputs["UV"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
    links.new(texture.outputs["Color"], surface.inputs["Base Color"])
    plane.data.materials.append(material)


def light(name, location, energy, size, colour):
    """Add a square light that looks at the head. ``energy`` in watts, ``size`` in metres."""
    lamp = bpy.data.lights.new(name, "AREA")
    lamp.energy, lamp.size, lamp.color = energy, size, colour
    thing = bpy.data.objects.new(name, lamp)
    thing.location = location
    look_at = bpy.data.objects["Props"].location - thing.location
    look_at.z += 1
    thing.rotation_euler = look_at.to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(thing)


main()
