"""Run by Blender: makes scenes like those that came out wrong on farms; see docs/fidelity.md.

Below the folder that is the last argument. What shines is red and fills the middle of the picture.
"""

import os
import sys
from typing import Any

import bpy

# Blender runs this file without the tests on the module path.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from runner.small_scenes import compositor, empty_scene, shader

ROOT = sys.argv[-1]


def fresh() -> tuple[Any, Any]:
    """A plane before a camera; return the scene and the plane."""
    scene, camera = empty_scene(16, 8)
    scene.view_settings.view_transform = "Raw"
    scene.render.dither_intensity = 0
    scene.frame_end = 20
    camera.location = (0, 0, 5)
    bpy.ops.mesh.primitive_plane_add(size=20)
    plane = bpy.context.object
    plane.data.materials.append(shader("red"))
    return scene, plane


def save(name: str) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(ROOT, f"{name}.blend"))


def by_frame(owner: Any, path: str, values: "list[Any]") -> None:
    """Give a property a value of its own at each frame, and nothing in between."""
    for frame, value in enumerate(values, start=1):
        setattr(owner, path, value)
        owner.keyframe_insert(path, frame=frame)


def numbered() -> None:
    """The red of a frame says which one it is."""
    _, plane = fresh()
    light = plane.active_material.node_tree.nodes["Emission"].inputs["Strength"]
    by_frame(light, "default_value", [frame / 20 for frame in range(1, 13)])


def visible(name: str, persistent: bool) -> None:
    """Seen at even frames only."""
    scene, plane = fresh()
    scene.render.use_persistent_data = persistent
    by_frame(plane, "hide_render", [bool(frame % 2) for frame in range(1, 13)])
    save(name)


def two_eyes() -> None:
    """A plane that only the left eye sees."""
    scene, plane = fresh()
    scene.render.use_multiview = True
    scene.camera.data.stereo.interocular_distance = 60
    scene.camera.data.stereo.convergence_mode = "PARALLEL"
    scene.camera.data.stereo.pivot = "CENTER"
    plane.location.x = -30
    save("stereo")


def old_camera() -> None:
    """A camera that was deleted, and stayed in the file."""
    fresh()
    bpy.data.objects.new("Old", bpy.data.cameras.new("Old")).use_fake_user = True
    save("old_camera")


def composited() -> None:
    scene, _ = fresh()
    tree, rendered, picture = compositor(scene)
    node = tree.nodes.new("CompositorNodeInvert")
    colour = next(each for each in node.inputs if each.name == "Color")
    tree.links.new(rendered, colour)
    tree.links.new(node.outputs[0], picture)
    save("composited")


def in_edit_mode() -> None:
    """Somebody moved the plane away, and saved without leaving edit mode."""
    fresh()
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.transform.translate(value=(100, 0, 0))
    save("edited")
    bpy.ops.object.mode_set(mode="OBJECT")


def hidden_in_viewport() -> None:
    _, plane = fresh()
    plane.hide_viewport = True
    save("hidden_in_viewport")


def cut() -> None:
    """At frame 5 another camera takes over, which sees nothing."""
    scene, _ = fresh()
    other = bpy.data.objects.new("Away", bpy.data.cameras.new("Away"))
    other.location = (0, 0, -5)
    other.rotation_euler = (0, 0, 0)
    scene.collection.objects.link(other)
    for frame, camera in ((1, scene.camera), (5, other)):
        scene.timeline_markers.new(camera.name, frame=frame).camera = camera
    save("cut")


numbered()
save("numbered")
visible("visible", persistent=False)
visible("persistent", persistent=True)
two_eyes()
old_camera()
composited()
in_edit_mode()
hidden_in_viewport()
cut()
