"""Scenes with a view, look, exposure and gamma, and the pictures that Blender itself saves of them.

    blender -b -P make_views.py -- FOLDER

Makes <name>.blend, and <name>_0001.png and <name>_0002.png beside it: 6 x 4 patches of light, from
dark to far brighter than white, and of all hues. `clear` is transparent, and has its pictures with
an alpha channel as well, as <name>-alpha_####.png.
"""

import colorsys
import os
import sys
from typing import Any

import bpy

folder = sys.argv[sys.argv.index("--") + 1]
scene = bpy.context.scene
NEW = bpy.app.version >= (4, 0)
ACROSS, DOWN, PIXELS = 6, 4, 16


def material(colour: "tuple[float, ...]", strength: float, alpha: float) -> Any:
    made = bpy.data.materials.new("patch")
    if not made.node_tree:
        made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    nodes.clear()
    light, out = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    light.inputs["Color"].default_value = (*colour, 1)
    light.inputs["Strength"].default_value = strength
    if alpha == 1:
        links.new(light.outputs[0], out.inputs[0])
        return made
    clear, mix = nodes.new("ShaderNodeBsdfTransparent"), nodes.new("ShaderNodeMixShader")
    mix.inputs[0].default_value = alpha
    links.new(clear.outputs[0], mix.inputs[1])
    links.new(light.outputs[0], mix.inputs[2])
    links.new(mix.outputs[0], out.inputs[0])
    return made


def patches(alpha: float) -> None:
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    for row in range(DOWN):
        for column in range(ACROSS):
            colour = colorsys.hsv_to_rgb(column / ACROSS, (0, 0.4, 0.9, 1)[row], 1)
            strength = (0.02, 0.18, 0.9, 6.0)[(row + column) % 4]
            place = (column - (ACROSS - 1) / 2, row - (DOWN - 1) / 2, 0)
            bpy.ops.mesh.primitive_plane_add(size=1, location=place)
            each = alpha if column % 2 else 1
            bpy.context.object.data.materials.append(material(colour, strength, each))
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type, camera.data.ortho_scale = "ORTHO", ACROSS
    camera.location = (0, 0, 3)
    scene.collection.objects.link(camera)
    scene.camera = camera


def save(name: str, alpha: str = "RGB") -> None:
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", alpha, "16"
    for frame in (1, 2):
        scene.frame_set(frame)
        scene.render.filepath = os.path.join(folder, f"{name}_{frame:04d}.png")
        bpy.ops.render.render(write_still=True)
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(folder, f"{name}.blend"))


scene.render.engine = "CYCLES"
scene.cycles.samples = 16
scene.cycles.use_denoising = False
scene.cycles.pixel_filter_type = "BOX"
scene.render.resolution_x, scene.render.resolution_y = ACROSS * PIXELS, DOWN * PIXELS
scene.render.resolution_percentage = 100
scene.render.dither_intensity = 0
scene.frame_start, scene.frame_end = 1, 2
patches(1)
view = scene.view_settings
save("default")
view.look = "AgX - Punchy" if NEW else "High Contrast"
view.gamma = 1.3
for frame, view.exposure in ((1, 1.5), (2, -1.0)):
    view.keyframe_insert("exposure", frame=frame)
save("look")
scene.animation_data_clear()
# Older Blenders keep the look when the view changes.
view.look = "None"
view.view_transform, view.exposure, view.gamma = "Standard", 0, 1
save("standard")
view.view_transform = "AgX" if NEW else "Filmic"
view.use_curve_mapping = True
save("curves")
view.use_curve_mapping = False
scene.render.film_transparent = True
patches(0.5)
save("clear")
save("clear-alpha", "RGBA")
