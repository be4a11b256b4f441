"""The node that renders: found, set up to write files and to wait for them, and started."""

from typing import Any

import hou
from farm_events import SceneError, warn
from farm_scene import set_value

PATH_PARMS = {
    "ifd": "vm_picture",
    "arnold": "ar_picture",
    "Redshift_ROP": "RS_outputFileNamePrefix",
    "ris": "ri_display_0",
    "vray_renderer": "SettingsOutput_img_file_path",
    "karma": "picture",
    "usdrender": "outputimage",
    "usdrender_rop": "outputimage",
    "opengl": "picture",
    "comp": "copoutput",
    "geometry": "sopoutput",
    "rop_geometry": "sopoutput",
    "alembic": "filename",
    "rop_alembic": "filename",
    "dop": "dopoutput",
    "rop_dop": "dopoutput",
    "filecache": "file",
}
"""Type of node -> its parameter with the output path."""

_EXPORT_SWITCHES = ("soho_outputmode", "ar_ass_export_enable", "RS_archive_enable")
"""Parameters that make a node write a scene description instead of an image."""

_WAIT = {"soho_foreground": 1, "RS_nonBlockingRendering": 0}
"""Parameters that decide whether `render` returns before the files are written."""

_PROGRESS = ("vm_alfprogress", "alfprogress")
_SHOWN = 20
"""Most nodes that one message lists."""


def find(path: str, kind: str) -> Any:
    """Return the node to render.

    Parameters:
        path: path of the node; "" takes the only node of the type.
        kind: type that it must have; "" is any.

    Raises:
        SceneError: there is no such node; the message lists those that could be meant.
    """
    if path:
        node = hou.node(path)
        if node is None:
            raise SceneError(f"The scene has no node {path}. {_listed()}")
        if kind and not _is_of(node, kind):
            found = node.type().name()
            raise SceneError(f"The node {path} is of type {found}, not {kind}. {_listed()}")
    else:
        nodes = [node for node in _renderable() if not kind or _is_of(node, kind)]
        if len(nodes) != 1:
            what = f"nodes of type {kind}" if kind else "render nodes"
            raise SceneError(
                f"The scene has {len(nodes)} {what}. Name one in rop_nodepath. {_listed()}"
            )
        node = nodes[0]
    if not hasattr(node, "render") and node.parm("execute") is None:
        raise SceneError(f"The node {node.path()} does not render anything. {_listed()}")
    return node


def base_type(node: Any) -> str:
    """Return the type without namespace and version: ``ris`` of ``ris::3.0``."""
    return str(node.type().nameComponents()[2])


def prepare(node: Any, disk: "dict[str, Any]", gpu: bool) -> None:
    """Set up the node for the job: wait for its files and report its progress."""
    switch, mode = disk.get("parm"), disk.get("mode")
    if switch and mode is not None:
        parm = node.parm(switch)
        if parm is None:
            raise SceneError(f"The node {node.path()} has no parameter {switch}.")
        set_value(parm, _number(mode))
    elif not disk.get("path_parm"):
        for name in _EXPORT_SWITCHES:
            _set(node, name, 0)
    if disk.get("renderer") and not _set(node, "renderer", disk["renderer"]):
        warn(f"The node {node.path()} has no choice of renderers.")
    for name, value in _WAIT.items():
        _set(node, name, value)
    for name in _PROGRESS:
        _set(node, name, 1)
    if base_type(node) == "filecache":
        _set(node, "filemethod", "explicit")  # else version 2 invents its own path
    if gpu and base_type(node) == "karma":
        _set(node, "engine", "xpu")
    if any(node.inputs()):
        warn(
            f"The inputs of {node.path()} are not rendered with it. Submit each of them as a job"
            " of its own."
        )


def render(node: Any, first: int, last: int, step: int) -> None:
    """Render frames ``first`` to ``last``. Raises hou.Error, but not for every failure."""
    if hasattr(node, "render"):
        node.render(
            frame_range=(first, last, step),
            ignore_inputs=True,
            method=hou.renderMethod.RopByRop,
            verbose=True,
        )
        return
    # File caches are not ROPs; their button renders the range beside it.
    for name, value in [("trange", 1), ("f1", first), ("f2", last), ("f3", step)]:
        _set(node, name, value)
    node.parm("execute").pressButton()


def errors(node: Any) -> str:
    """Return the node's errors in its last render; "" for none."""
    return "; ".join(" ".join(text.split()) for text in node.errors()).rstrip(".")


def picture_size(node: Any) -> "tuple[int, int] | None":
    """Return (width, height) of the frames in pixels; None where the scene leaves it open."""
    if base_type(node) not in ("ifd", "arnold") or node.parm("camera") is None:
        return None
    camera = hou.node(node.parm("camera").evalAsString())
    if camera is None or camera.parm("resx") is None:
        return None
    size = camera.parm("resx").eval(), camera.parm("resy").eval()
    override = node.parm("override_camerares")
    if override is None or not override.eval():
        return size
    fraction = node.parm("res_fraction").evalAsString()
    if fraction == "specific":
        return node.parm("res_overridex").eval(), node.parm("res_overridey").eval()
    width, height = size[0] * float(fraction), size[1] * float(fraction)
    # Houdini's rounding is unknown.
    return (int(width), int(height)) if width == int(width) and height == int(height) else None


def _is_of(node: Any, kind: str) -> bool:
    return kind in (node.type().name(), base_type(node))


def _renderable() -> "list[Any]":
    return [
        node
        for node in hou.node("/").allSubChildren(recurse_in_locked_nodes=False)
        if base_type(node) in PATH_PARMS
    ]


def _listed() -> str:
    nodes = [f"{node.path()} ({node.type().name()})" for node in _renderable()]
    if not nodes:
        return "It has no render nodes."
    more = f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
    return f"Its render nodes are: {', '.join(nodes[:_SHOWN])}{more}."


def _set(node: Any, name: str, value: Any) -> bool:
    parm = node.parm(name)
    if parm is not None:
        set_value(parm, value)
    return parm is not None


def _number(value: Any) -> Any:
    """Return digits as the number that a switch expects; other texts are names of choices."""
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value
