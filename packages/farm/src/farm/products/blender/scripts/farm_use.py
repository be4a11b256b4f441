"""Finds the data-blocks of a .blend that can affect the pixels of a scene.

A .blend contains much more than that: sounds, reference and background images, other scenes,
unconnected textures. This module starts at the scene and follows references between data-blocks. It
overestimates: an object with animated visibility counts as visible, and a muted input, or one with
weight 0, as connected.

Node trees are traversed from their active outputs backwards. Objects that only affect the shape of
others, such as the target of a modifier, count without their materials.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import bpy

_LEAVES = {"Image", "Sound", "VectorFont", "Volume", "CacheFile", "MovieClip", "Action", "Library"}
_SHAPES = ("Mesh", "Curve", "MetaBall", "Armature", "Lattice", "Key")
_NO_SHAPES = ("Material", "Image", "Sound", "Speaker", "Camera", "Light")
_ID = bpy.types.ID
_GIVE_MATERIALS = {"NODES", "BOOLEAN", "PARTICLE_SYSTEM", "PARTICLE_INSTANCE"}
"""Modifiers that render the objects they refer to, with their materials."""


def of_scene(scene: Any) -> "set[Any]":
    """Return the data-blocks that can affect the pixels of any enabled view layer of a scene."""
    found = _Use()
    found.follow([scene])
    return found.blocks | found.shapes


def kind_of(block: Any) -> str:
    """Return the type of a data-block, such as ``Object``; ``Light`` also for its subclasses."""
    # Blender 3.4 has no `id_type`.
    classes = type(block).__mro__
    return str(classes[classes.index(_ID) - 1].__name__)


class _Use:
    """The data-blocks that were reached so far.

    Attributes:
        blocks: those that are used completely.
        shapes: those that only affect the shape or position of others; without their materials.
    """

    def __init__(self) -> None:
        self.blocks = set()  # type: set[Any]
        self.shapes = set()  # type: set[Any]
        # Not recursive: chains of parents can exceed Python's recursion limit.
        self._left = []  # type: list[Any]
        self._refers = {}  # type: dict[Any, set[Any]]
        for block, users in bpy.data.user_map().items():
            for user in users:
                self._refers.setdefault(user, set()).add(block)

    def follow(self, blocks: "Iterable[Any]") -> None:
        """Add blocks, and everything that they refer to."""
        self._add(blocks)
        while self._left:
            self._visit(self._left.pop())

    def _add(self, blocks: "Iterable[Any]") -> None:
        for block in blocks:
            if block is not None and block not in self.blocks:
                self.blocks.add(block)
                self._left.append(block)

    def _visit(self, block: Any) -> None:
        kind = kind_of(block)
        if kind == "Scene":
            self._scene(block)
        elif kind == "Object":
            self._object(block)
        elif kind == "Collection":
            self._add(each for each in [*block.objects, *block.children] if _shown(each))
        elif kind == "NodeTree":
            self._tree(block)
        elif kind in ("Material", "World", "Light", "Texture", "FreestyleLineStyle"):
            self._shader(block)
        elif kind == "Camera":
            # Without background images, which are not rendered.
            self._add(each for each in self._refer(block) if kind_of(each) == "Object")
        elif kind not in _LEAVES:
            self._add(self._refer(block))

    def _scene(self, scene: Any) -> None:
        self._add([scene.world, scene.background_set, scene.camera])
        self._add(marker.camera for marker in scene.timeline_markers)
        for layer in scene.view_layers:
            if layer.use:
                self._add([getattr(layer, "material_override", None)])
                self._add([getattr(layer, "world_override", None)])
                self._layer(layer.layer_collection)
                self._add(_line_styles(scene, layer))
        for thing in scene.objects:
            # Force fields and collision objects have an effect even if they are hidden.
            is_force = thing.field is not None and thing.field.type != "NONE"
            if is_force or (thing.collision is not None and thing.collision.use):
                self._shape(thing)
        if tree := compositing_of(scene):
            if hasattr(scene, "compositing_node_group"):  # A block of its own.
                self._add([tree])
            else:
                self._tree(tree)
        if scene.render.use_sequencer and scene.sequence_editor is not None:
            for strip in strips(scene.sequence_editor):
                if not strip.mute:
                    names = ("scene", "clip", "mask", "font")
                    self._add(getattr(strip, each, None) for each in names)

    def _layer(self, layer: Any) -> None:
        if not _shown(layer.collection):
            return
        if not layer.exclude:
            self._add(thing for thing in layer.collection.objects if _shown(thing))
        for child in layer.children:
            self._layer(child)

    def _object(self, thing: Any) -> None:
        if thing.type == "SPEAKER" or (
            thing.type == "EMPTY" and thing.empty_display_type == "IMAGE"
        ):
            self._add([thing.instance_collection])
            return
        gives = any(modifier.type in _GIVE_MATERIALS for modifier in thing.modifiers)
        for each in self._refer(thing):
            if kind_of(each) == "Object" and not gives:
                self._shape(each)
            else:
                self._add([each])

    def _shape(self, thing: Any) -> None:
        """Follow an object that only affects the shape or position of another."""
        left = [thing]
        while left:
            block = left.pop()
            if block in self.shapes:
                continue
            self.shapes.add(block)
            for each in self._refer(block):
                if kind_of(each) in ("Object", *_SHAPES):
                    left.append(each)
                elif kind_of(each) not in _NO_SHAPES:
                    self._add([each])

    def _shader(self, block: Any) -> None:
        tree = block.node_tree if getattr(block, "use_nodes", True) else None
        if tree is not None:
            self._tree(tree)
        if tree is None or kind_of(block) in ("Texture", "FreestyleLineStyle") or _is_drawn(block):
            self._add(self._refer(block))

    def _tree(self, tree: Any) -> None:
        for node in reached(tree):
            self._add(_named_by(node))

    def _refer(self, block: Any) -> "set[Any]":
        return self._refers.get(block, set())


def compositing_of(scene: Any) -> Any:
    """Return the nodes that composite a scene; None when it is not composited."""
    if not scene.render.use_compositing:
        return None
    if hasattr(scene, "compositing_node_group"):  # Blender 5.0
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def reached(tree: Any) -> "set[Any]":
    """Return the nodes of a tree that affect its outputs."""
    sources = {}  # type: dict[Any, list[Any]]
    for link in tree.links:
        sources.setdefault(link.to_node, []).append(link.from_node)
    for node in tree.nodes:
        # The input and output node of a zone are not connected by a link.
        if end := getattr(node, "paired_output_node", None):
            sources.setdefault(end, []).append(node)
    outputs = [node for node in tree.nodes if _is_output(node)]
    active = [node for node in outputs if getattr(node, "is_active_output", True)]
    found, left = set(), active or outputs
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left += sources.get(node, [])
    return found


def _is_output(node: Any) -> bool:
    return bool(node.type.startswith("OUTPUT") or node.type in ("COMPOSITE", "GROUP_OUTPUT"))


def _named_by(node: Any) -> "Iterator[Any]":
    """Yield the data-blocks that a node, or one of its unlinked sockets, refers to."""
    for each in node.bl_rna.properties:
        if each.type == "POINTER" and isinstance(block := getattr(node, each.identifier), _ID):
            yield block
    for socket in node.inputs:
        if (
            isinstance(block := getattr(socket, "default_value", None), _ID)
            and not socket.is_linked
        ):
            yield block


def _is_drawn(block: Any) -> bool:
    """Return whether a material's own settings are used: by Grease Pencil, or by Workbench."""
    engines = [scene.render.engine for scene in bpy.data.scenes]
    return getattr(block, "is_grease_pencil", False) or "BLENDER_WORKBENCH" in engines


def _shown(block: Any) -> bool:
    """Return whether an object or a collection is rendered, at any frame."""
    return not block.hide_render or _is_animated(block)


def _is_animated(block: Any) -> bool:
    # A collection has no animation of its own before Blender 4.
    data = getattr(block, "animation_data", None)
    if data is None:
        return False
    curves = [*data.drivers, *_curves(data.action)]
    return bool(data.nla_tracks) or any(curve.data_path == "hide_render" for curve in curves)


def _curves(action: Any) -> "Iterator[Any]":
    """Yield an action's F-curves; since Blender 5.0, those of all data-blocks that it animates."""
    yield from getattr(action, "fcurves", ())
    for layer in getattr(action, "layers", ()):
        for strip in layer.strips:
            for bag in strip.channelbags:
                yield from bag.fcurves


def _line_styles(scene: Any, layer: Any) -> "Iterator[Any]":
    settings = getattr(layer, "freestyle_settings", None)
    if scene.render.use_freestyle and settings is not None:
        for lines in settings.linesets:
            yield lines.linestyle


def strips(editor: Any) -> Any:
    """Return a sequencer's strips, also those in meta strips. Blender 4.4 renamed them."""
    return getattr(editor, "strips_all", None) or getattr(editor, "sequences_all", ())
