"""Finds the data-blocks of a .blend that can affect the pixels of a scene.

A .blend contains much more than that: sounds, reference and background images, other scenes,
unconnected textures. This module starts at the scene and follows references between data-blocks. It
overestimates: an object with animated visibility counts as visible, and an input with weight 0 as
connected.

`farm_nodes` knows which nodes count, `farm_parts` which parts of an object, and `farm_strips` what
the sequencer shows. Objects that only affect the shape of others, such as the target of a modifier,
count without their materials.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import bpy
import farm_animation
import farm_nodes
import farm_parts
import farm_strips

_LEAVES = {"Image", "Sound", "VectorFont", "Volume", "CacheFile", "MovieClip", "Action", "Library"}
_SHAPES = ("Mesh", "Curve", "MetaBall", "Armature", "Lattice", "Key")
_NO_SHAPES = ("Material", "Image", "Sound", "Speaker", "Camera", "Light")
_ID = bpy.types.ID
_GIVE_MATERIALS = {"NODES", "BOOLEAN", "PARTICLE_SYSTEM", "PARTICLE_INSTANCE"}
"""Modifiers that render the objects they refer to, with their materials."""


def of_scene(scene: Any) -> "set[Any]":
    """Return the data-blocks that can affect the pixels of any enabled view layer of a scene."""
    found = _Use()
    found.picture(scene)
    return found.all()


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

    def __init__(self, refers: "dict[Any, set[Any]] | None" = None) -> None:
        """Begin with nothing.

        Parameters:
            refers: what each block refers to; with it, materials do not count: another one replaces
                them all.
        """
        self.blocks = set()  # type: set[Any]
        self.shapes = set()  # type: set[Any]
        # Not recursive: chains of parents can exceed Python's recursion limit.
        self._left = []  # type: list[Any]
        self._has_materials = refers is None
        self._refers = _references() if refers is None else refers
        self._replaced = _Use(self._refers) if refers is None else None

    def picture(self, scene: Any) -> None:
        """Add what a scene's picture depends on: its strips, its compositing, its layers."""
        for each in farm_strips.sequenced(scene):
            for strip in farm_strips.shown(each):
                self._strip(strip)
        if not farm_strips.covers(scene):
            tree = farm_nodes.compositing_of(scene)
            # Such a file also has the layers themselves.
            is_multilayer = scene.render.image_settings.file_format == "OPEN_EXR_MULTILAYER"
            if tree is None or is_multilayer or farm_nodes.shows(tree, scene):
                self._add([scene])
            else:
                self._composite(tree)
        self._follow()

    def all(self) -> "set[Any]":
        """Return everything that was reached."""
        found = self.blocks | self.shapes
        return found | self._replaced.all() if self._replaced else found

    def _follow(self) -> None:
        while self._left:
            self._visit(self._left.pop())
        if self._replaced:
            self._replaced._follow()

    def _add(self, blocks: "Iterable[Any]") -> None:
        for block in blocks:
            if block is None or block in self.blocks:
                continue
            if self._has_materials or kind_of(block) != "Material" or block.is_grease_pencil:
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
        elif kind == "Mesh":
            # An object says which of its materials are shown.
            self._add(each for each in self._refer(block) if kind_of(each) != "Material")
        elif kind not in _LEAVES:
            self._add(self._refer(block))

    def _scene(self, scene: Any) -> None:
        self._add([scene.background_set, scene.camera])
        self._add(marker.camera for marker in scene.timeline_markers)
        switched = farm_animation.changes(scene, "view_layers[].use")
        layers = [layer for layer in scene.view_layers if layer.use or switched]
        if _world_counts(scene, layers):
            self._add([scene.world])
        for layer in layers:
            self._add([getattr(layer, "material_override", None)])
            self._add([getattr(layer, "world_override", None)])
            replaced = _override(scene, layer, "material_override") and self._replaced
            (replaced or self)._layer(layer.layer_collection)
            self._add(_line_styles(scene, layer))
        for thing in scene.objects:
            # Force fields and collision objects have an effect even if they are hidden.
            is_force = thing.field is not None and thing.field.type != "NONE"
            if is_force or (thing.collision is not None and thing.collision.use):
                self._shape(thing)
        if tree := farm_nodes.compositing_of(scene):
            self._composite(tree)

    def _composite(self, tree: Any) -> None:
        if tree.is_embedded_data:
            self._tree(tree)
        else:  # since Blender 5.0
            self._add([tree])

    def _strip(self, strip: Any) -> None:
        self._add(getattr(strip, each, None) for each in ("clip", "mask", "font", "scene_camera"))
        if strip.type == "SCENE" and not farm_strips.has_strips_of_scene(strip):
            self._add([strip.scene])

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
        gives = any(each.type in _GIVE_MATERIALS for each in farm_parts.modifiers(thing))
        idle = farm_parts.idle_materials(thing)
        slots = {slot.material for slot in thing.material_slots}
        for each in (self._refer(thing) - farm_parts.unused(thing) | slots) - idle:
            if each is not None and kind_of(each) == "Object" and not gives:
                self._shape(each)
            elif gives:
                self._give([each])
            else:
                self._add([each])

    def _give(self, blocks: "Iterable[Any]") -> None:
        """Follow what modifiers take from elsewhere, and may give other materials of its slots."""
        for block in blocks:
            kind = kind_of(block) if block is not None else ""
            things = block.all_objects if kind == "Collection" else [block]
            for thing in things if kind in ("Object", "Collection") else ():
                self._add(slot.material for slot in thing.material_slots)
            self._add([block])

    def _shape(self, thing: Any) -> None:
        """Follow an object that only affects the shape or position of another."""
        left = [thing]
        while left:
            block = left.pop()
            if block in self.shapes:
                continue
            self.shapes.add(block)
            for each in self._refer(block) - farm_parts.unused(block):
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
        (self._give if tree.type == "GEOMETRY" else self._add)(farm_nodes.named(tree))

    def _refer(self, block: Any) -> "set[Any]":
        return self._refers.get(block, set())


def _references() -> "dict[Any, set[Any]]":
    found = {}  # type: dict[Any, set[Any]]
    for block, users in bpy.data.user_map().items():
        for user in users:
            found.setdefault(user, set()).add(block)
    return found


def _is_drawn(block: Any) -> bool:
    """Return whether a material's own settings are used: by Grease Pencil, or by Workbench."""
    engines = [scene.render.engine for scene in bpy.data.scenes]
    return getattr(block, "is_grease_pencil", False) or "BLENDER_WORKBENCH" in engines


def _shown(block: Any) -> bool:
    """Return whether an object or a collection is rendered, at any frame."""
    return not block.hide_render or farm_animation.changes(block, "hide_render")


def _world_counts(scene: Any, layers: "list[Any]") -> bool:
    return any(_override(scene, layer, "world_override") is None for layer in layers)


def _override(scene: Any, layer: Any, name: str) -> Any:
    """Return what Cycles renders in place of all materials, or the world; others may not."""
    block = getattr(layer, name, None)
    return block if scene.render.engine == "CYCLES" else None


def _line_styles(scene: Any, layer: Any) -> "Iterator[Any]":
    settings = getattr(layer, "freestyle_settings", None)
    if scene.render.use_freestyle and settings is not None:
        for lines in settings.linesets:
            yield lines.linestyle
