"""Which files the pixels of a .blend's scene certainly need, determined without Blender.

Follows a few unambiguous ways, from the scene that was open when the file was saved:
objects that are rendered, their materials as far as an active output depends on them, the world,
instanced collections, fonts, volumes, and whatever of these is linked from a library. Files reached
in other ways may be needed as well: `farm_use`, inside Blender, sees more. Anything animated, held
out or excluded is uncertain.

The numbers are flags of Blender's own, from ``DNA_*_types.h``; they are the same from 2.8 to 5.0.
"""

import time
from collections.abc import Iterator
from typing import Any

_MOST_SECONDS = 1.5
"""Seconds of processor time, after which nothing is certain."""
_LAYER_RENDERED = 1 << 0
_EXCLUDED = 1 << 4 | 1 << 5 | 1 << 6  # Or held out, or only seen indirectly.
_COLLECTION_HIDDEN = 1 << 3
_OBJECT_HIDDEN = 1 << 2
_INSTANCES_COLLECTION = 1 << 8
_INSTANCES_ON_ITS_PARTS = 1 << 4 | 1 << 5  # It is not rendered itself.
_SURFACES = (1, 2, 3, 4, 5)
_FONT, _VOLUME = 4, 29
_ACTIVE_OUTPUT = 1 << 6
_OUTPUTS = (b"ShaderNodeOutputMaterial", b"ShaderNodeOutputWorld")
_GROUP_OUTPUT = b"NodeGroupOutput"


def certainly_needed(opened: Any) -> "set[int]":
    """Return the addresses of blocks that name files, including libraries.

    Parameters:
        opened: a `blender_asset_tracer.blendfile.BlendFile`. It may be damaged or hostile: links
            that cannot be followed are uncertain.
    """
    use = _Use()
    try:
        for glob in opened.find_blocks_from_code(b"GLOB"):
            use.scene(glob.get_pointer(b"curscene"))
    # Damage appears as any of a dozen exceptions.
    except Exception:
        return set()
    return use.found


class _OutOfTimeError(Exception):
    """It takes too long."""


class _Use:
    def __init__(self) -> None:
        self.found: set[int] = set()
        self._seen: set[int] = set()
        self._until = time.process_time() + _MOST_SECONDS

    def scene(self, scene: Any) -> None:
        """Follow what a scene renders."""
        for layer in _listed(scene, b"view_layers"):
            if layer[b"flag"] & _LAYER_RENDERED:
                for part in _listed(layer, b"layer_collections"):
                    self._layer(part)
        if self._is_new(world := scene.get_pointer(b"world")):
            self._shader(world)

    def _layer(self, layer: Any) -> None:
        collection = layer.get_pointer(b"collection")
        if layer[b"flag"] & _EXCLUDED or collection is None:
            return
        # The scene's own collection is part of its block, and has no code of its own.
        if self._is_linked(collection) or collection[b"flag"] & _COLLECTION_HIDDEN:
            return
        self._objects(collection)
        for part in _listed(layer, b"layer_collections"):
            self._layer(part)

    def _objects(self, collection: Any) -> None:
        for each in _listed(collection, b"gobject"):
            self._object(each.get_pointer(b"ob"))

    def _collection(self, collection: Any) -> None:
        if self._is_new(collection) and not collection[b"flag"] & _COLLECTION_HIDDEN:
            self._objects(collection)
            for each in _listed(collection, b"children"):
                self._collection(each.get_pointer(b"collection"))

    def _object(self, thing: Any) -> None:
        if not self._is_new(thing) or thing.get(b"adt", 0):
            return
        hidden = thing.get(b"visibility_flag", None)
        hidden = thing[b"restrictflag"] if hidden is None else hidden
        instances = thing[b"transflag"]
        if hidden & _OBJECT_HIDDEN or instances & _INSTANCES_ON_ITS_PARTS:
            return
        kind = thing[b"type"]
        if instances & _INSTANCES_COLLECTION:
            name = (
                b"instance_collection" if thing.has_field(b"instance_collection") else b"dup_group"
            )
            self._collection(thing.get_pointer(name))
        data = thing.get_pointer(b"data")
        if kind == _VOLUME and data is not None and not self._is_linked(data):
            self.found.add(data.addr_old)
        if kind in _SURFACES and data is not None:
            self._surface(thing, data, kind)

    def _surface(self, thing: Any, data: Any, kind: int) -> None:
        materials = list(_materials(thing))
        if not self._is_linked(data):
            materials += _materials(data)
            if kind == _FONT and (font := data.get_pointer(b"vfont")) is not None:
                self.found.add(font.addr_old)
        for material in materials:
            if self._is_new(material):
                self._shader(material)

    def _shader(self, block: Any) -> None:
        if block.get(b"use_nodes", 1) and self._is_new(tree := block.get_pointer(b"nodetree")):
            self._tree(tree, _OUTPUTS)

    def _tree(self, tree: Any, outputs: "tuple[bytes, ...]") -> None:
        sources: dict[int, list[Any]] = {}
        for link in _listed(tree, b"links"):
            if (source := link.get_pointer(b"fromnode")) is not None:
                sources.setdefault(link[b"tonode"], []).append(source)
        waiting = [
            node
            for node in _listed(tree, b"nodes")
            if node[b"idname"] in outputs and node[b"flag"] & _ACTIVE_OUTPUT
        ]
        reached = {node.addr_old for node in waiting}
        while waiting:
            node = waiting.pop()
            self._named(node.get_pointer(b"id"))
            for source in sources.get(node.addr_old, ()):
                if source.addr_old not in reached:
                    reached.add(source.addr_old)
                    waiting.append(source)

    def _named(self, block: Any) -> None:
        if block is None or not self._is_new(block):
            return
        if block.code == b"IM":
            self.found.add(block.addr_old)
        elif block.code == b"NT":
            self._tree(block, (_GROUP_OUTPUT,))

    def _is_new(self, block: Any) -> bool:
        """Note a block; return whether to follow it: it is in this file, and new."""
        if time.process_time() > self._until:
            raise _OutOfTimeError
        if block is None or self._is_linked(block) or block.addr_old in self._seen:
            return False
        self._seen.add(block.addr_old)
        return True

    def _is_linked(self, block: Any) -> bool:
        """Return whether a block is a library's, which is then needed."""
        if block.code != b"ID":
            return False
        if library := block[b"lib"]:
            self.found.add(library)
        return True


def _listed(block: Any, name: bytes) -> "Iterator[Any]":
    """Yield the items of a list, which may be circular in a hostile file."""
    passed: set[int] = set()
    each = block.get_pointer((name, b"first"))
    while each is not None and each.addr_old not in passed:
        passed.add(each.addr_old)
        yield each
        each = each.get_pointer(b"next")


def _materials(block: Any) -> "Iterator[Any]":
    if block.get(b"totcol", 0) and block.get(b"mat", 0):
        yield from block.iter_array_of_pointers(b"mat", block[b"totcol"])
