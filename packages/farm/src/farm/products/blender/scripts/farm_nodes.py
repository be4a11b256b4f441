"""Which nodes of a tree affect its outputs, and which data-blocks these nodes refer to.

Trees are traversed from their active outputs backwards, along links that carry something. What a
muted node refers to is not used: it passes on some of its inputs. Overestimated are inputs with
weight 0, and muting that is animated.
"""

from collections.abc import Iterator
from typing import Any

import bpy
import farm_animation

_ID = bpy.types.ID
_IMPORTS, _PATH = "GeometryNodeImport", "NodeSocketStringFilePath"


def compositing_of(scene: Any) -> Any:
    """Return the nodes that composite a scene; None when it is not composited."""
    render = scene.render
    if not (render.use_compositing or farm_animation.changes(scene, "render.use_compositing")):
        return None
    if hasattr(scene, "compositing_node_group"):  # Blender 5.0
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def reached(tree: Any) -> "set[Any]":
    """Return the nodes of a tree that affect its outputs; some of them may be muted."""
    return _reached(tree, {})


def named(tree: Any) -> "Iterator[Any]":
    """Yield the data-blocks that the nodes refer to which affect the outputs."""
    for node in reached(tree):
        if not is_muted(tree, node):
            yield from _named_by(tree, node)


def is_muted(tree: Any, node: Any) -> bool:
    """Return whether a node is muted at every frame."""
    return bool(node.mute) and not farm_animation.changes(tree, "nodes[].mute")


def imported(tree: Any) -> "Iterator[tuple[Any, str]]":
    """Yield the nodes of a tree that import a file (since Blender 4.5), and its path.

    Paths that other nodes make are not known.
    """
    for node in tree.nodes:
        for socket in node.inputs if node.bl_idname.startswith(_IMPORTS) else ():
            if socket.bl_idname == _PATH and socket.default_value and not _linked(socket):
                yield node, socket.default_value


def shows(tree: Any, scene: Any) -> bool:
    """Return whether a composited picture may depend on what a scene renders.

    Only if it has an output for the picture, it certainly does not.
    """
    nodes = reached(tree)
    if not any(node.type in ("COMPOSITE", "GROUP_OUTPUT") for node in nodes):
        return True
    return any(_takes(tree, node, scene, set()) for node in nodes)


def _takes(tree: Any, node: Any, scene: Any, seen: "set[Any]") -> bool:
    if is_muted(tree, node):
        return False
    if node.type == "GROUP_INPUT" and not seen:
        return True  # Blender may hand the scene's picture to the outermost group.
    inner = getattr(node, "node_tree", None)
    if inner is not None and inner not in seen:
        seen.add(inner)
        if any(_takes(inner, each, scene, seen) for each in reached(inner)):
            return True
    # Of a Render Layers or Cryptomatte node; without one of its own it is the current scene.
    return hasattr(node, "scene") and node.scene in (None, scene)


def _reached(tree: Any, inputs: "dict[Any, set[str]]") -> "set[Any]":
    """Return the nodes that affect the outputs.

    Parameters:
        inputs: of groups that were looked at already: the inputs that affect their outputs.
    """
    sources = {}  # type: dict[Any, list[Any]]
    for link in tree.links:
        if _carries(link):
            sources.setdefault(link.to_node, []).append(link)
    starts = {}  # type: dict[Any, list[Any]]
    for node in tree.nodes:
        # The input and output node of a zone are not connected by a link.
        if end := getattr(node, "paired_output_node", None):
            starts.setdefault(end, []).append(node)
    found, left = set(), _outputs(tree)
    while left:
        node = left.pop()
        if node in found:
            continue
        found.add(node)
        left += starts.get(node, [])
        passed = _passed(tree, node, inputs)
        left += [
            link.from_node
            for link in sources.get(node, [])
            if passed is None or link.to_socket.identifier in passed
        ]
    return found


def _outputs(tree: Any) -> "list[Any]":
    outputs = [node for node in tree.nodes if _is_output(tree, node)]
    return [node for node in outputs if getattr(node, "is_active_output", True)] or outputs


def _is_output(tree: Any, node: Any) -> bool:
    if node.type == "OUTPUT_FILE":
        return not is_muted(tree, node)
    return bool(node.type.startswith("OUTPUT") or node.type in ("COMPOSITE", "GROUP_OUTPUT"))


def _passed(tree: Any, node: Any, inputs: "dict[Any, set[str]]") -> "set[str] | None":
    """Return the identifiers of the inputs that affect a node's outputs; None: all may."""
    if is_muted(tree, node):
        # An empty set of a node with inputs is uncertain: Blender has not computed it.
        return {link.from_socket.identifier for link in node.internal_links} or None
    group = getattr(node, "node_tree", None) if node.type == "GROUP" else None
    if group is None:
        return None
    if group not in inputs:
        inputs[group] = set()
        nodes = _reached(group, inputs)
        inputs[group] = {
            link.from_socket.identifier
            for link in group.links
            if link.from_node.type == "GROUP_INPUT" and link.to_node in nodes and _carries(link)
        }
    return inputs[group]


def _carries(link: Any) -> bool:
    return not link.is_muted and bool(link.from_socket.enabled and link.to_socket.enabled)


def _named_by(tree: Any, node: Any) -> "Iterator[Any]":
    """Yield the data-blocks that a node, or one of its unlinked sockets, refers to."""
    for each in node.bl_rna.properties:
        if each.type == "POINTER" and isinstance(block := getattr(node, each.identifier), _ID):
            yield block
    for socket in node.inputs:
        if isinstance(block := getattr(socket, "default_value", None), _ID) and not _linked(socket):
            yield block


def _linked(socket: Any) -> bool:
    return any(_carries(link) for link in socket.links)
