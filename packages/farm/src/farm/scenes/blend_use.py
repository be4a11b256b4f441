"""Which files the pixels of a .blend's scene certainly need, determined without Blender.

Follows a few unambiguous ways, from the scene that was open when the file was saved:
objects that are rendered, their materials as far as an active output depends on them, the world,
instanced collections, fonts, volumes, and whatever of these is linked from a library. Files reached
in other ways may be needed as well: `farm_use`, inside Blender, sees more. Anything animated,
muted, held out or excluded is uncertain, and so is a scene whose sequencer makes the picture.

The numbers are flags of Blender's own, from ``DNA_*_types.h``; they are the same from 2.8 to 5.0.
"""

import time
from collections.abc import Iterator
from typing import Any

from farm.scenes.blend_faces import slots_of
from farm.scenes.blend_imports import listed

_MOST_SECONDS = 1.5
"""Seconds of processor time, after which nothing is certain."""
_LAYER_RENDERED = 1 << 0
_EXCLUDED = 1 << 4 | 1 << 5 | 1 << 6  # Or held out, or only seen indirectly.
_COLLECTION_HIDDEN = 1 << 3
_OBJECT_HIDDEN = 1 << 2
_INSTANCES_COLLECTION = 1 << 8
_INSTANCES_ON_ITS_PARTS = 1 << 4 | 1 << 5  # It is not rendered itself.
_SURFACES = (1, 2, 3, 4, 5)
_MESH, _FONT, _VOLUME = 1, 4, 29
_SEQUENCED, _COMPOSITED = 1 << 0, 1 << 6
_SOUND = 4
_ACTIVE_OUTPUT = 1 << 6
_MUTED_NODE, _MUTED_LINK = 1 << 9, 1 << 4
_LAYERS = b"CompositorNodeRLayers"
_COMPOSITES = (b"CompositorNodeComposite", b"NodeGroupOutput")
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
        self._has_materials = True
        self._until = time.process_time() + _MOST_SECONDS

    def scene(self, scene: Any) -> None:
        """Follow what a scene renders."""
        if not _shows_layers(scene):
            return
        every = listed(scene, b"view_layers")
        layers = [each for each in every if each[b"flag"] & _LAYER_RENDERED]
        # Those without another material in place of all first: what is seen once is known.
        for layer in sorted(layers, key=lambda each: bool(each.get(b"mat_override", 0))):
            self._has_materials = not layer.get(b"mat_override", 0)
            for part in listed(layer, b"layer_collections"):
                self._layer(part)
        replaced = any(each.get(b"world_override", 0) for each in layers)
        if not replaced and self._is_new(world := scene.get_pointer(b"world")):
            self._shader(world)

    def _layer(self, layer: Any) -> None:
        collection = layer.get_pointer(b"collection")
        if layer[b"flag"] & _EXCLUDED or collection is None:
            return
        # The scene's own collection is part of its block, and has no code of its own.
        if self._is_linked(collection) or collection[b"flag"] & _COLLECTION_HIDDEN:
            return
        self._objects(collection)
        for part in listed(layer, b"layer_collections"):
            self._layer(part)

    def _objects(self, collection: Any) -> None:
        for each in listed(collection, b"gobject"):
            self._object(each.get_pointer(b"ob"))

    def _collection(self, collection: Any) -> None:
        if self._is_new(collection) and not collection[b"flag"] & _COLLECTION_HIDDEN:
            self._objects(collection)
            for each in listed(collection, b"children"):
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
        if not self._has_materials:
            return
        # Which of several no face has, is in the mesh, and modifiers may change it.
        if kind == _MESH and thing.get(b"totcol", 0) > 1:
            used = None if data.code == b"ID" or _modified(thing) else slots_of(data)
            count = thing[b"totcol"]
            if used is None or not all(0 <= each < count for each in used):
                return
            materials = [each for at, each in enumerate(_slots(thing, data)) if at in used]
        for material in materials:
            if material is not None and self._is_new(material):
                self._shader(material)

    def _shader(self, block: Any) -> None:
        if block.get(b"use_nodes", 1) and self._is_new(tree := block.get_pointer(b"nodetree")):
            self._tree(tree, _OUTPUTS)

    def _tree(self, tree: Any, outputs: "tuple[bytes, ...]") -> None:
        for node in _reached(tree, outputs):
            self._named(node.get_pointer(b"id"))

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


def _shows_layers(scene: Any) -> bool:
    """Return whether a scene's picture certainly shows what its view layers render."""
    mode = scene[(b"r", b"scemode")]
    editor = scene.get_pointer(b"ed")
    strips = listed(editor, b"seqbase") if mode & _SEQUENCED and editor is not None else ()
    if any(strip[b"type"] != _SOUND for strip in strips):
        return False
    if not mode & _COMPOSITED:
        return True
    if scene.has_field(b"compositing_node_group"):  # since Blender 5.0
        tree = scene.get_pointer(b"compositing_node_group")
    else:
        tree = scene.get_pointer(b"nodetree") if scene[b"use_nodes"] else None
    if tree is None:
        return True
    return any(
        node[b"idname"] == _LAYERS and node.get(b"id", 0) in (0, scene.addr_old)
        for node in _reached(tree, _COMPOSITES)
    )


def _reached(tree: Any, outputs: "tuple[bytes, ...]") -> "list[Any]":
    """Return the nodes that outputs depend on, as far as nothing between them is muted."""
    sources: dict[int, list[Any]] = {}
    for link in listed(tree, b"links"):
        source = link.get_pointer(b"fromnode")
        if source is not None and not link[b"flag"] & _MUTED_LINK:
            sources.setdefault(link[b"tonode"], []).append(source)
    waiting = [
        node
        for node in listed(tree, b"nodes")
        # Of the compositor's outputs only one is active, too.
        if node[b"idname"] in outputs and node[b"flag"] & _ACTIVE_OUTPUT
    ]
    found: list[Any] = []
    reached = {node.addr_old for node in waiting}
    while waiting:
        node = waiting.pop()
        if node[b"flag"] & _MUTED_NODE:
            continue
        found.append(node)
        for source in sources.get(node.addr_old, ()):
            if source.addr_old not in reached:
                reached.add(source.addr_old)
                waiting.append(source)
    return found


def _modified(thing: Any) -> bool:
    return thing.get_pointer((b"modifiers", b"first")) is not None


def _slots(thing: Any, data: Any) -> "list[Any]":
    """Return the material of each slot; None of an empty one."""
    count = thing[b"totcol"]
    own, shared = _pointers(thing, count), _pointers(data, count)
    bits = thing.get_pointer(b"matbits")
    chosen = bits.raw_data() if bits is not None else b""
    return [own[at] if chosen[at : at + 1] == b"\1" else shared[at] for at in range(count)]


def _pointers(block: Any, count: int) -> "list[Any]":
    table = block.get_pointer(b"mat")
    if table is None:
        return [None] * count
    size = block.bfile.header.pointer_size
    content = table.raw_data()
    found = [
        int.from_bytes(content[at : at + size], "little")
        for at in range(0, min(len(content), count * size), size)
    ]
    blocks = [block.bfile.dereference_pointer(each) if each else None for each in found]
    return blocks + [None] * (count - len(blocks))


def _materials(block: Any) -> "Iterator[Any]":
    if block.get(b"totcol", 0) and block.get(b"mat", 0):
        yield from block.iter_array_of_pointers(b"mat", block[b"totcol"])
