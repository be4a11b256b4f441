"""Run by Blender: makes small scenes below the folder that is the last argument."""

import os
import sys

import bpy  # As a module, it must come before its own.

# isort: split
import _cycles

# Blender runs this file without the tests on the module path.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runner.small_scenes import compositor, file_output, socket, strips

ROOT = sys.argv[-1]


def fresh(samples=1):
    bpy.ops.wm.read_factory_settings(use_empty=False)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = samples
    scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling = False
    scene.render.resolution_x, scene.render.resolution_y = 64, 36
    scene.render.resolution_percentage = 100
    return scene


def save(name):
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(ROOT, name), relative_remap=True)


scene = fresh()
# What an artist's machine leaves behind, and what must not matter.
scene.render.filepath = "/nonexistent/x"
scene.render.use_overwrite = False
scene.frame_step = 7
save("plain.blend")

scene = fresh(samples=400)
save("slow.blend")

scene = fresh()
os.makedirs(os.path.join(ROOT, "textures"), exist_ok=True)
made = bpy.data.images.new("wood", 8, 8)
made.filepath_raw = os.path.join(ROOT, "textures", "wood.png")
made.file_format = "PNG"
made.save()
scene = fresh()
tree = bpy.data.objects["Cube"].active_material.node_tree
node = tree.nodes.new("ShaderNodeTexImage")
node.image = bpy.data.images.load(os.path.join(ROOT, "textures", "wood.png"))
tree.links.new(node.outputs[0], tree.nodes["Principled BSDF"].inputs[0])
save("texture.blend")
save("library.blend")

# links library.blend's cube, which in turn needs the texture
scene = fresh()
with bpy.data.libraries.load(os.path.join(ROOT, "library.blend"), link=True) as (source, target):
    target.objects = ["Cube"]
scene.collection.objects.link(target.objects[0])
save("linked.blend")

scene = fresh()
bpy.data.objects.remove(bpy.data.objects["Camera"])
save("nocamera.blend")

scene = fresh()
tree, rendered, _ = compositor(scene)
file_node = file_output(tree, rendered, "/nonexistent/passes")
save("filenode.blend")

# switched on by an animation, not before the first frame
if bpy.app.version < (5, 0):  # which cannot animate it
    file_node.mute = True
    file_node.keyframe_insert("mute", frame=0)
    file_node.mute = False
    file_node.keyframe_insert("mute", frame=1)
scene.frame_set(0)
save("animated_filenode.blend")

# several nodes of one name, on this system or on another one, one of them within a group
scene = fresh()
tree, rendered, _ = compositor(scene)
group = bpy.data.node_groups.new("inner", "CompositorNodeTree")
socket(group, "in", "NodeSocketColor", "INPUT")
file_output(group, group.nodes.new("NodeGroupInput").outputs[0], "/nonexistent/inner", "AOV/1")
node = tree.nodes.new("CompositorNodeGroup")
node.node_tree = group
tree.links.new(rendered, node.inputs[0])
for label in ("AOV 1", "aov 1", "//../.."):
    file_output(tree, rendered, "/nonexistent/passes", label)
# and several slots that would become one
node = file_output(tree, rendered, "/nonexistent/passes", "", ("../a", "a", "A", "sub/../a"))
if hasattr(node, "file_name"):  # since Blender 5.0
    node.file_name = "../../b_"
save("many_filenodes.blend")

# A text block that runs by itself where scripts may: what it does lies beside the scene.
scene = fresh()
text = bpy.data.texts.new("hostile.py")
text.write("import bpy\nexec(open(bpy.path.abspath('//hostile.py')).read())\n")
text.use_module = True
save("hostile.blend")

# lit at frames 1 and 3, black between them
scene = fresh()
for frame, exposure in ((1, 1.0), (2, 0.0), (3, 1.0)):
    scene.cycles.film_exposure = exposure
    scene.cycles.keyframe_insert("film_exposure", frame=frame)
save("blackout.blend")

# an expression that is a program, not a formula: without its permission Blender leaves it out
scene = fresh()
driver = bpy.data.objects["Cube"].driver_add("location", 0).driver
driver.type, driver.expression = "SCRIPTED", "[x for x in (1, 2)][0] * frame"
save("driver.blend")

# denoising as an artist's Blender has it, whatever this one can do
scene = fresh()
scene.cycles.use_denoising = True
if not _cycles.with_openimagedenoise:
    open(os.path.join(ROOT, "no_denoiser"), "w").close()
save("denoise.blend")

# scenes that run a program of theirs in another way than by itself: each writes a file beside it
MARK = "open(__import__('bpy').path.abspath('//mark'), 'w').close()\n"


def with_lines(scene, name="lines"):
    """Draw a scene's lines with Freestyle's own editor."""
    scene.render.use_freestyle = True
    settings = scene.view_layers[0].freestyle_settings
    for each in list(settings.linesets):
        settings.linesets.remove(each)
    made = settings.linesets.new(name)
    if made.linestyle is None:
        made.linestyle = bpy.data.linestyles.new("style")
    return settings


def with_style(scene):
    """Draw a scene's lines with a program."""
    text = bpy.data.texts.new("style.py")
    text.write(MARK)
    settings = with_lines(scene)
    settings.mode = "SCRIPT"
    settings.modules.new().script = text
    return settings


RUNS_TEXT = 'x\\\',exec(__import__("bpy").data.texts[0].as_string()))#'
os.makedirs(os.path.join(ROOT, "programs"), exist_ok=True)
with_style(fresh())
save("programs/style.blend")

# the switch is thrown by an animation
scene = fresh()
settings = with_style(scene)
scene.keyframe_insert('view_layers["ViewLayer"].freestyle_settings.mode', frame=1)
settings.mode = "EDITOR"
save("programs/animated.blend")

scene = fresh()
scene.view_layers[0].name = RUNS_TEXT
with_lines(scene)
bpy.data.texts.new("evil").write(MARK)
save("programs/layer.blend")

scene = fresh()
with_lines(scene, RUNS_TEXT)
bpy.data.texts.new("evil").write(MARK)
save("programs/lineset.blend")

# the scene with the style module is another one: a strip, and in another file
scene = fresh()
other = bpy.data.scenes.new("other")
other.camera = scene.camera
other.collection.objects.link(scene.camera)
other.collection.objects.link(bpy.data.objects["Cube"])
other.render.engine = "CYCLES"
other.cycles.samples = 1
other.cycles.use_denoising = False
with_style(other)
save("programs/library.blend")
strips(scene).new_scene("other", other, 1, 1)
save("programs/strip.blend")

scene = fresh()
with bpy.data.libraries.load(os.path.join(ROOT, "programs/library.blend"), link=True) as (
    source,
    target,
):
    target.scenes = ["other"]
strips(scene).new_scene("other", target.scenes[0], 1, 1)
save("programs/linked.blend")

scene = fresh()
text = bpy.data.texts.new("register.py")
text.write(MARK)
text.use_module = True
save("programs/register.blend")

scene = fresh()
driver = bpy.data.objects["Cube"].driver_add("location", 0).driver
driver.type, driver.expression = "SCRIPTED", "[open('//mark', 'w'), 1][1]"
save("programs/driver.blend")

# a module that Python has not, for a statement that looks for it
scene = fresh()
for name in ("numpy", "farm_missing", "sitecustomize"):
    bpy.data.texts.new(f"{name}.py").write(MARK)
save("programs/module.blend")

scene = fresh()
scene.cycles.shading_system = True
tree = bpy.data.objects["Cube"].active_material.node_tree
tree.nodes.new("ShaderNodeScript").script = bpy.data.texts.new("shader.osl")
save("programs/shader.blend")

# the switch is animated, and what it switches on prints when it runs
OSL = """
shader program(output color answer = 0, output point position = 0, output vector direction = 0,
               output color throughput = 1)
{
    printf("OSL runs\\n");
}
"""
with open(os.path.join(ROOT, "programs", "program.osl"), "w") as file:
    file.write(OSL)
scene = fresh()
tree = bpy.data.objects["Cube"].active_material.node_tree
node = tree.nodes.new("ShaderNodeScript")
node.mode, node.filepath = "EXTERNAL", "//program.osl"
for frame, value in enumerate((False, True)):
    scene.cycles.shading_system = value
    scene.keyframe_insert("cycles.shading_system", frame=frame)
scene.frame_set(0)
scene.cycles.shading_system = False
save("programs/switched.blend")

# cameras that are programs, in Blenders that know them
if "custom_filepath" in bpy.types.Camera.bl_rna.properties:
    for name in ("plain", "keyframe", "driver", "left"):
        scene = fresh()
        camera = scene.camera.data
        camera.custom_mode, camera.custom_filepath = "EXTERNAL", "//program.osl"
        number = camera.bl_rna.properties["type"].enum_items["CUSTOM"].value
        if name == "plain":
            camera.type = "CUSTOM"
        if name == "keyframe":
            for frame, kind in enumerate(("PERSP", "CUSTOM")):
                camera.type = kind
                camera.keyframe_insert("type", frame=frame)
            camera.type = "PERSP"
        if name == "driver":
            driver = camera.driver_add("type").driver
            driver.type, driver.expression = "SCRIPTED", f"frame * 0 + {number}"
            camera.type = "PERSP"
        save(f"programs/camera-{name}.blend")
