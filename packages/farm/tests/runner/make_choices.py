"""Run by Blender: makes a file with several scenes, cameras and view layers, and one for V-Ray.

Each camera sees a plane of one colour that fills the middle of its frame, and black around it.
"""

import os
import sys

import bpy  # As a module, it must come before its own.

# isort: split
import addon_utils

ROOT = sys.argv[-1]


def fresh():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    set_up(scene)
    return scene


def set_up(scene):
    scene.world = bpy.data.worlds.new("black")
    scene.world.color = (0, 0, 0)
    if scene.world.node_tree:  # since Blender 5.0
        scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling = False
    scene.view_settings.view_transform = "Raw"
    scene.render.dither_intensity = 0
    # A size in per cent, which a job's size in pixels must not be subject to.
    scene.render.resolution_x, scene.render.resolution_y = 128, 72
    scene.render.resolution_percentage = 50


def sight(collection, name, colour, x):
    """Add a tilted plane and a camera above it."""
    bpy.ops.mesh.primitive_plane_add(size=2, location=(x, 0, 0), rotation=(0, 0, 0.2))
    plane = bpy.context.object
    plane.name = name + " plane"
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    emission = tree.nodes.new("ShaderNodeEmission")
    emission.inputs[0].default_value = (*colour, 1)
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(emission.outputs[0], output.inputs[0])
    plane.data.materials.append(material)
    camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    camera.location = (x, 0, 6)
    for thing in (plane, camera):
        for other in list(thing.users_collection):
            other.objects.unlink(thing)
        collection.objects.link(thing)
    return camera


scene = fresh()
red = bpy.data.collections.new("red")
scene.collection.children.link(red)
scene.camera = sight(red, "Red", (1, 0, 0), 0)
marker = scene.timeline_markers.new("cut", frame=1)
marker.camera = scene.camera
sight(scene.collection, "Green", (0, 1, 0), 50)
layer = scene.view_layers.new("Without red")
layer.layer_collection.children["red"].exclude = True
scene.view_layers[0].samples = 1
second = bpy.data.scenes.new("Shot B")
set_up(second)
second.camera = sight(second.collection, "Blue", (0, 0, 1), 0)
bpy.ops.wm.save_as_mainfile(filepath=os.path.join(ROOT, "choices.blend"))

scene = fresh()
addon_utils.enable("vray_blender", default_set=True)  # the factory settings have disabled it
scene.camera = sight(scene.collection, "Red", (1, 0, 0), 0)
scene.render.engine = "VRAY_RENDER_RT"
bpy.ops.wm.save_as_mainfile(filepath=os.path.join(ROOT, "vray.blend"))
