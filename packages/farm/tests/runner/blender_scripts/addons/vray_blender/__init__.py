"""A stand-in for V-Ray for Blender: an add-on of the same name with a render engine of the same id.

Its frames are green, so that a test sees which engine rendered them. Like the real one it looks for
its licence server's address in a file `vrlclient.xml`, and renders only when that server answers.
"""

import os
import re
import socket

import bpy

bl_info = {"name": "V-Ray", "version": (6, 20, 1), "blender": (3, 0, 0), "category": "Render"}


def licence():
    """Raise OSError when no licence server is named or answers."""
    folder = os.environ.get("VRAY_AUTH_CLIENT_FILE_PATH", "")
    with open(os.path.join(folder, "vrlclient.xml"), encoding="utf-8") as file:
        said = file.read()
    host, port = (re.search(f"<{tag}>(.*?)</{tag}>", said)[1] for tag in ("Host", "Port"))
    socket.create_connection((host, int(port)), 5).close()


class VRayRenderEngine(bpy.types.RenderEngine):
    bl_idname = "VRAY_RENDER_RT"
    bl_label = "V-Ray"

    def render(self, depsgraph):
        try:
            licence()
        except OSError as error:
            self.report({"ERROR"}, f"Could not obtain a license (-88): {error}")
            return
        render = depsgraph.scene.render
        width = render.resolution_x * render.resolution_percentage // 100
        height = render.resolution_y * render.resolution_percentage // 100
        result = self.begin_result(0, 0, width, height)
        result.layers[0].passes["Combined"].rect = [[0.0, 1.0, 0.0, 1.0]] * (width * height)
        self.end_result(result)


def register():
    bpy.utils.register_class(VRayRenderEngine)


def unregister():
    bpy.utils.unregister_class(VRayRenderEngine)
