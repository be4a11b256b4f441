"""The module `hou`, as far as it goes. What is not named here does not exist. [D]

Names are those of Houdini 18.5 to 20.5; nothing of ours leaks into the module, so that a script
cannot come to depend on it.
"""

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

from stand_ins_houdini import VERSION, _errors, _nodes, _render, _types
from stand_ins_houdini._scene import Scene

_ERRORS = (
    "Error",
    "OperationFailed",
    "InvalidInput",
    "LoadWarning",
    "PermissionError",
    "NodeError",
)
_CLASSES = ("Parm", "ParmTuple", "Node", "RopNode", "NodeType", "NodeTypeCategory", "Take")


def install() -> Scene:
    """Make ``import hou`` work in this process; return the session behind it."""
    scene = Scene()
    module = ModuleType("hou")
    names = {name: getattr(_errors, name) for name in _ERRORS}
    names.update({name: getattr(_nodes, name) for name in _CLASSES})
    names.update(_functions(scene))
    names.update(
        hipFile=_hip_file(scene),
        takes=_takes(scene),
        text=SimpleNamespace(expandString=lambda text: scene.expand(text, scene.frame)),
        renderMethod=SimpleNamespace(
            RopByRop=_render.Event("RopByRop"), FrameByFrame=_render.Event("FrameByFrame")
        ),
        ropRenderEventType=SimpleNamespace(
            PreRender=_render.PRE_RENDER,
            PreFrame=_render.PRE_FRAME,
            PostFrame=_render.POST_FRAME,
            PostRender=_render.POST_RENDER,
        ),
    )
    for name, value in names.items():
        setattr(module, name, value)
        if isinstance(value, type):
            value.__module__ = "hou"  # as tracebacks show it
    sys.modules["hou"] = module
    return scene


def _functions(scene: Scene) -> "dict[str, Any]":
    def set_frame(frame: float) -> None:
        scene.frame = float(frame)

    def putenv(name: str, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError("in method 'putenv', argument 2 of type 'char const *'")
        scene.variables[name] = value

    def file_references(
        project_dir_variable: str = "HIP", include_all_refs: bool = True
    ) -> "tuple[tuple[Any, str], ...]":
        found = []
        for path in scene.values:
            if os.path.basename(path) in _types.FILE_PARMS:
                parm = _nodes.Parm(scene, path)
                if parm.rawValue():
                    found.append((parm, parm.rawValue()))
        return tuple(found)

    return {
        "applicationVersion": lambda: tuple(int(part) for part in VERSION.split(".")),
        "applicationVersionString": lambda: VERSION,
        "expandString": lambda text: scene.expand(text, scene.frame),
        "fileReferences": file_references,
        "fps": lambda: 24.0,
        "frame": lambda: scene.frame,
        "intFrame": lambda: int(scene.frame),
        "setFrame": set_frame,
        "getenv": lambda name, default=None: scene.variables.get(name, default),
        "putenv": putenv,
        "hscript": lambda command: _hscript(scene, command),
        "isUIAvailable": lambda: False,
        "node": lambda path: _nodes.node_at(scene, path),
        "parm": lambda path: _nodes.parm_at(scene, path),
        "parmTuple": lambda path: _nodes.parm_tuple_at(scene, path),
    }


def _hip_file(scene: Scene) -> SimpleNamespace:
    def load(
        file_name: str, suppress_save_prompt: bool = False, ignore_load_warnings: bool = False
    ) -> None:
        scene.load(file_name, ignore_load_warnings)

    return SimpleNamespace(
        load=load,
        path=lambda: scene.path,
        name=lambda: scene.path,
        basename=lambda: os.path.basename(scene.path),
    )


def _takes(scene: Scene) -> SimpleNamespace:
    def set_current(take: _nodes.Take) -> None:
        scene.take = take.name()

    return SimpleNamespace(
        currentTake=lambda: _nodes.Take(scene, scene.take),
        findTake=lambda name: _nodes.Take(scene, name) if name in scene.takes else None,
        rootTake=lambda: _nodes.Take(scene, "Main"),
        setCurrentTake=set_current,
    )


def _hscript(scene: Scene, command: str) -> "tuple[str, str]":
    """Run one of the commands that render scripts use; return (output, error text)."""
    words = command.split()
    if words[:1] == ["takeautomode"] and words[1:] in (["on"], ["off"]):
        scene.auto_take = words[1] == "on"
    elif words[:1] == ["takeset"] and len(words) == 2 and words[1] in scene.takes:
        scene.take = words[1]
    elif words not in (["varchange"], ["varchange", "-V"]):
        return "", f"Unknown command: {command}\n"
    return "", ""
