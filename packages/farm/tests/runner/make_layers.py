"""Renders an emitting surface as OpenEXR in each way in which this Blender holds layers and views.

    blender -b -P make_layers.py -- FOLDER

The left eye sees a grey of 0.2, the right one 0.6.
"""

import os
import sys

import bpy

folder = sys.argv[sys.argv.index("--") + 1]
scene = bpy.context.scene
for thing in list(bpy.data.objects):
    bpy.data.objects.remove(thing)
for number, (light, side) in enumerate(((0.2, "left"), (0.6, "right"))):
    material = bpy.data.materials.new(side)
    if not material.node_tree:
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    shader, out = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    shader.inputs["Color"].default_value = (light, light, light, 1)
    material.node_tree.links.new(shader.outputs[0], out.inputs[0])
    bpy.ops.mesh.primitive_plane_add(size=10, location=(20 * number, 0, 0))
    bpy.context.object.data.materials.append(material)
    camera = bpy.data.objects.new(f"camera_{side[0].upper()}", bpy.data.cameras.new(side))
    camera.location = (20 * number, 0, 3)
    scene.collection.objects.link(camera)
    if not number:
        scene.camera = camera
scene.render.engine = "CYCLES"
scene.cycles.samples = 1
scene.cycles.use_denoising = False
scene.render.resolution_x = scene.render.resolution_y = 32
scene.render.resolution_percentage = 100
scene.view_layers[0].use_pass_z = True
settings = scene.render.image_settings
for views in ("single", "stereo"):
    scene.render.use_multiview = views == "stereo"
    scene.render.views_format = "MULTIVIEW"
    for kind in ("OPEN_EXR", "OPEN_EXR_MULTILAYER"):
        if hasattr(settings, "media_type"):
            layers = kind == "OPEN_EXR_MULTILAYER"
            settings.media_type = "MULTI_LAYER_IMAGE" if layers else "IMAGE"
        settings.file_format = kind
        if views == "stereo":
            settings.views_format = "MULTIVIEW"
        for interleaved in (False, True):
            if hasattr(settings, "use_exr_interleave"):
                settings.use_exr_interleave = interleaved
            elif interleaved:
                continue
            name = f"{views}-{kind}-{interleaved}_0001"
            scene.render.filepath = os.path.join(folder, name)
            bpy.ops.render.render(write_still=True)
