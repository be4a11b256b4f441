"""Run by Blender: makes scenes that lack something, below the folder that is the last argument."""

import os
import sys
from collections.abc import Iterable
from typing import Any

import bpy

# Blender runs this file without the tests on the module path.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runner.small_scenes import compositor, empty_scene, shader, socket

ROOT = sys.argv[-1]


def fresh() -> Any:
    """A red plane before a camera, which renders at once."""
    scene, camera = empty_scene(64, 36)
    camera.location = (0, 0, 5)
    plane("floor", shader("red"))
    return scene


def plane(name: str, material: Any, scene: Any = None) -> Any:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], [], [(0, 1, 2, 3)])
    mesh.uv_layers.new()
    mesh.materials.append(material)
    made = bpy.data.objects.new(name, mesh)
    (scene or bpy.context.scene).collection.objects.link(made)
    return made


def save(name: str) -> None:
    path = os.path.join(ROOT, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=path, relative_remap=True)
    # Of linked files: a path can be relative only once the scene has a place.
    bpy.ops.file.make_paths_relative()
    bpy.ops.wm.save_mainfile()


def link(library: str, kind: str, names: Iterable[str]) -> Any:
    """Link blocks of a library."""
    with bpy.data.libraries.load(os.path.join(ROOT, library), link=True) as (_, wanted):
        setattr(wanted, kind, list(names))
    return getattr(wanted, kind)


def linked() -> None:
    """Scenes whose library has lost what they link, one of them only through another library."""
    scene = fresh()
    plane("chair", shader("wood"))
    plane("table", shader("oak"))
    save("linked/assets.blend")

    scene = fresh()
    both = bpy.data.collections.new("both")
    for each in link("linked/assets.blend", "objects", ["chair", "table"]):
        both.objects.link(each)
    scene.collection.children.link(both)
    plane("own", link("linked/assets.blend", "materials", ["oak"])[0])
    save("linked/shot.blend")

    scene = fresh()
    holder = bpy.data.objects.new("holder", None)
    scene.collection.objects.link(holder)
    holder.instance_type = "COLLECTION"
    holder.instance_collection = link("linked/shot.blend", "collections", ["both"])[0]
    save("linked/film.blend")

    scene = fresh()
    aside = bpy.data.collections.new("aside")
    aside.hide_render = True
    scene.collection.children.link(aside)
    aside.objects.link(link("linked/assets.blend", "objects", ["table"])[0])
    save("linked/aside.blend")

    fresh()
    plane("chair", shader("wood"))
    plane("desk", shader("ash"))
    save("linked/assets.blend")


def told() -> None:
    """Scenes of which something is done otherwise than on the artist's machine."""
    fresh()
    for name in ("rig_ui.py", "move.py"):
        text = bpy.data.texts.new(name)
        text.write("import bpy\n")
        text.use_module = True
    bpy.data.texts.new("notes")
    save("told/scripts.blend")

    scene = fresh()
    scene.camera = None
    save("told/camera.blend")

    scene = fresh()
    scene.render.use_border = True
    scene.render.border_max_x = 0.5
    save("told/region.blend")


def fluid(name: str, kind: str) -> None:
    """A fluid of three frames, all of them baked."""
    scene = fresh()
    scene.frame_end = 3
    save(f"caches/{name}.blend")
    bpy.ops.mesh.primitive_cube_add(size=0.5)
    source = bpy.context.object
    bpy.ops.mesh.primitive_cube_add(size=2)
    box = bpy.context.object
    flow = source.modifiers.new("fluid", "FLUID")
    flow.fluid_type = "FLOW"
    flow.flow_settings.flow_type = "LIQUID" if kind == "LIQUID" else "SMOKE"
    flow.flow_settings.flow_behavior = "GEOMETRY"
    domain = box.modifiers.new("fluid", "FLUID")
    domain.fluid_type = "DOMAIN"
    settings = domain.domain_settings
    settings.domain_type, settings.resolution_max = kind, 8
    settings.cache_type, settings.cache_frame_end = "ALL", 3
    settings.use_mesh = kind == "LIQUID"
    settings.cache_directory = f"//{name}_cache"
    save(f"caches/{name}.blend")
    with bpy.context.temp_override(scene=scene, object=box, active_object=box):
        bpy.ops.fluid.bake_all()
    save(f"caches/{name}.blend")


def bake(name: str, cache: Any) -> None:
    """Bake four frames to the disk."""
    # Only what has a place can keep its cache beside it.
    save(f"caches/{name}.blend")
    cache.use_disk_cache, cache.frame_start, cache.frame_end = True, 1, 4
    save(f"caches/{name}.blend")
    bpy.ops.ptcache.bake_all(bake=True)
    save(f"caches/{name}.blend")


def grid() -> Any:
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=3, y_subdivisions=3, size=2)
    return bpy.context.object


def caches() -> None:
    """Scenes whose simulations were baked to the disk, or were not."""
    fresh()
    thing = grid()
    bake("cloth", thing.modifiers.new("cloth", "CLOTH").point_cache)
    fresh()
    thing = grid()
    bake("soft", thing.modifiers.new("soft", "SOFT_BODY").point_cache)
    fresh()
    thing = grid()
    thing.modifiers.new("hail", "PARTICLE_SYSTEM")
    thing.particle_systems[0].point_cache.name = "hail"
    bake("particles", thing.particle_systems[0].point_cache)
    fresh()
    save("caches/unbaked.blend")
    grid().modifiers.new("cloth", "CLOTH").point_cache.use_disk_cache = True
    save("caches/unbaked.blend")
    fresh()
    thing = grid()
    modifier = thing.modifiers.new("cloth", "CLOTH")
    bake("off", modifier.point_cache)
    modifier.show_render = False
    save("caches/off.blend")


def ocean() -> None:
    """An ocean with a cache of three frames, which is not marked as baked: Blender bakes aside."""
    fresh()
    modifier = grid().modifiers.new("sea", "OCEAN")
    modifier.resolution = modifier.viewport_resolution = 4
    modifier.frame_start, modifier.frame_end = 1, 3
    modifier.filepath = "//sea"
    save("caches/ocean.blend")
    os.makedirs(os.path.join(ROOT, "caches", "sea"))
    for frame in (1, 2, 3):
        made = bpy.data.images.new("made", 8, 8, float_buffer=True)
        made.pixels = [0.0] * (8 * 8 * 4)
        made.filepath_raw = os.path.join(ROOT, "caches", "sea", f"disp_{frame:04}.exr")
        made.file_format = "OPEN_EXR"
        made.save()


def gone_image() -> Any:
    """An image of which there is no file."""
    made = bpy.data.images.new("gone", 4, 4)
    made.filepath_raw = os.path.join(ROOT, "gone.png")
    made.file_format = "PNG"
    made.save()
    loaded = bpy.data.images.load(os.path.join(ROOT, "gone.png"))
    os.remove(os.path.join(ROOT, "gone.png"))
    bpy.data.images.remove(made)
    loaded.filepath = "//gone.png"
    return loaded


def group(kind: str, image: Any, joined: bool) -> Any:
    """A group of nodes with an image in it, which reaches its output or does not."""
    tree = bpy.data.node_groups.new("group", kind)
    socket(tree, "color", "NodeSocketColor", "OUTPUT")
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    out = tree.nodes.new("NodeGroupOutput")
    if joined:
        tree.links.new(node.outputs[0], out.inputs[0])
    return tree


def use_group(joined: bool) -> None:
    tree = bpy.data.materials["red"].node_tree
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = group("ShaderNodeTree", gone_image(), joined)
    tree.links.new(node.outputs[0], tree.nodes["Emission"].inputs[0])


def aside(scene: Any) -> Any:
    """A collection with a plane that has a gone texture, linked to nothing yet."""
    thing = plane("textured", shader("textured", gone_image()))
    scene.collection.objects.unlink(thing)
    made = bpy.data.collections.new("aside")
    made.objects.link(thing)
    return made


def geometry(thing: Any) -> Any:
    """A modifier with geometry nodes that hand through what they get."""
    tree = bpy.data.node_groups.new("shape", "GeometryNodeTree")
    socket(tree, "in", "NodeSocketGeometry", "INPUT")
    socket(tree, "out", "NodeSocketGeometry", "OUTPUT")
    modifier = thing.modifiers.new("nodes", "NODES")
    modifier.node_group = tree
    nodes = [tree.nodes.new(each) for each in ("NodeGroupInput", "NodeGroupOutput")]
    tree.links.new(nodes[0].outputs[0], nodes[1].inputs[0])
    return modifier


def compositor_image(scene: Any) -> None:
    tree, _, picture = compositor(scene)
    node = tree.nodes.new("CompositorNodeImage")
    node.image = gone_image()
    tree.links.new(node.outputs[0], picture)


def needless() -> None:
    """Scenes that name a file which is gone and which no pixel needs."""
    fresh()
    use_group(joined=False)
    save("needless/group.blend")

    scene = fresh()
    made = aside(scene)
    made.hide_render = True
    scene.collection.children.link(made)
    save("needless/collection.blend")

    scene = fresh()
    scene.collection.children.link(aside(scene))
    scene.view_layers[0].layer_collection.children[0].exclude = True
    save("needless/excluded.blend")

    scene = fresh()
    scene.collection.children.link(aside(scene))
    scene.view_layers.new("off").use = False
    scene.view_layers[0].layer_collection.children[0].exclude = True
    save("needless/layer.blend")

    scene = fresh()
    parent = plane("parent", shader("textured", gone_image()))
    parent.hide_render = True
    bpy.data.objects["floor"].parent = parent
    save("needless/parent.blend")

    scene = fresh()
    compositor_image(scene)
    scene.render.use_compositing = False
    save("needless/compositor.blend")

    fresh()
    thing = grid()
    thing.hide_render = True
    bake("hidden", thing.modifiers.new("cloth", "CLOTH").point_cache)
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(ROOT, "needless/hidden.blend"))


def needful() -> None:
    """Scenes that need a file which is gone."""
    fresh()
    use_group(joined=True)
    save("needful/group.blend")

    scene = fresh()
    holder = bpy.data.objects.new("holder", None)
    scene.collection.objects.link(holder)
    holder.instance_type, holder.instance_collection = "COLLECTION", aside(scene)
    save("needful/instance.blend")

    scene = fresh()
    thing = plane("textured", shader("textured", gone_image()))
    for frame in (1, 2):
        thing.hide_render = frame == 1
        thing.keyframe_insert("hide_render", frame=frame)
    scene.frame_set(1)
    save("needful/animated.blend")

    scene = fresh()
    other = bpy.data.scenes.new("other")
    plane("textured", shader("textured", gone_image()), other)
    scene.background_set = other
    save("needful/set.blend")

    compositor_image(fresh())
    save("needful/compositor.blend")

    fresh()
    modifier = geometry(bpy.data.objects["floor"])
    tree = modifier.node_group
    node = tree.nodes.new("GeometryNodeSetMaterial")
    node.inputs["Material"].default_value = shader("textured", gone_image())
    tree.links.new(tree.nodes["Group Input"].outputs[0], node.inputs[0])
    tree.links.new(node.outputs[0], tree.nodes["Group Output"].inputs[0])
    save("needful/set_material.blend")

    fresh()
    modifier = geometry(bpy.data.objects["floor"])
    image = socket(modifier.node_group, "image", "NodeSocketImage", "INPUT")
    if hasattr(modifier, "properties"):  # since Blender 5.1
        getattr(modifier.properties.inputs, image).value = gone_image()
    else:
        modifier[image] = gone_image()
    save("needful/socket.blend")

    fresh()
    texture = bpy.data.textures.new("bumps", "IMAGE")
    texture.image = gone_image()
    bpy.data.objects["floor"].modifiers.new("bumps", "DISPLACE").texture = texture
    save("needful/displace.blend")

    scene = fresh()
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    tree = scene.world.node_tree
    node = tree.nodes.new("ShaderNodeTexEnvironment")
    node.image = gone_image()
    tree.links.new(node.outputs[0], tree.nodes["Background"].inputs[0])
    save("needful/world.blend")


if bpy.app.version < (5, 0):  # PyPI's Blender 5.0.1 and 5.3.0 end themselves: fluids are broken.
    # The first one: fluids that follow other simulations crash Blender 3.4.
    fluid("smoke", "GAS")
    fluid("water", "LIQUID")
linked()
told()
caches()
ocean()
needless()
needful()
