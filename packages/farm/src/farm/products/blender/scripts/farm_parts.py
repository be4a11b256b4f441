"""Which of the data-blocks that an object refers to can affect its picture.

Not those that only a modifier names that is switched off for rendering, or a muted constraint; and
of a mesh not the materials that none of its faces has.
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import bpy
import farm_animation

_ID = bpy.types.ID
_STACKS = ("modifiers", "grease_pencil_modifiers", "shader_effects")
_HEAVY = {"particles", "child_particles", "vertex_groups", "points", "bound_box"}
"""Properties that have many items, and no data-blocks."""
_ELSEWHERE = {
    *("rna_type", "id_data", "children", "users_collection", "original", "evaluated_get"),
    *("material_slots", "active_material", "particle_systems", "constraints", *_STACKS),
}
"""Properties of an object that are not its own, or are looked at by themselves."""
_KEEP_FACES = {
    *("ARMATURE", "CAST", "CLOTH", "COLLISION", "CORRECTIVE_SMOOTH", "CURVE", "DISPLACE", "HOOK"),
    *("EDGE_SPLIT", "LAPLACIANDEFORM", "LAPLACIANSMOOTH", "LATTICE", "MESH_CACHE", "MESH_DEFORM"),
    *("MIRROR", "MULTIRES", "NORMAL_EDIT", "SHRINKWRAP", "SIMPLE_DEFORM", "SMOOTH", "SOFT_BODY"),
    *("SUBSURF", "SURFACE", "SURFACE_DEFORM", "TRIANGULATE", "UV_PROJECT", "UV_WARP", "WARP"),
    *("VERTEX_WEIGHT_EDIT", "VERTEX_WEIGHT_MIX", "VERTEX_WEIGHT_PROXIMITY", "WAVE"),
    *("WEIGHTED_NORMAL", "WELD"),
}
"""Modifiers after which no face has a slot that none had before."""


def modifiers(thing: Any) -> "list[Any]":
    """Return an object's modifiers that are rendered at any frame, those of Grease Pencil too."""
    return [each for stack in _STACKS for each in getattr(thing, stack, ()) if _on(thing, each)]


def unused(thing: Any) -> "set[Any]":
    """Return data-blocks that an object, but no rendered part of it, refers to."""
    if not isinstance(thing, bpy.types.Object):
        return set()
    off = [each for stack in _STACKS for each in getattr(thing, stack, ()) if not _on(thing, each)]
    off += [each for each in thing.constraints if _is_muted(thing, each)]
    found = set(_blocks(off))
    if not found:
        return found
    left = [each for each in thing.constraints if not _is_muted(thing, each)]
    # Particles' own settings come with their modifier.
    return found - set(_blocks([thing, *modifiers(thing), *left]))


def idle_materials(thing: Any) -> "set[Any]":
    """Return the materials of a mesh object that certainly none of its faces has."""
    slots = thing.material_slots
    if thing.type != "MESH" or len(slots) < 2:
        return set()
    if any(each.type not in _KEEP_FACES for each in modifiers(thing)):
        return set()
    faces = thing.data.polygons
    if not faces:
        return set()
    indices = array("i", bytes(4 * len(faces)))
    faces.foreach_get("material_index", indices)
    # Blender shows the last slot in place of those that there are not.
    used = {min(max(each, 0), len(slots) - 1) for each in set(indices)}
    idle = {slot.material for slot in slots if slot.material is not None}
    return idle - {slots[each].material for each in used}


def _on(thing: Any, modifier: Any) -> bool:
    if modifier.show_render:
        return True
    return farm_animation.changes(thing, *(f"{stack}[].show_render" for stack in _STACKS))


def _is_muted(thing: Any, constraint: Any) -> bool:
    return bool(constraint.mute) and not farm_animation.changes(thing, "constraints[].mute")


def _blocks(holders: "Iterable[Any]") -> "Iterator[Any]":
    """Yield the data-blocks that structures refer to, however deep; blocks are not entered."""
    left = list(holders)
    seen = set()
    while left:
        holder = left.pop()
        key = (type(holder).__name__, holder.as_pointer())
        if key in seen:
            continue
        seen.add(key)
        skipped = _ELSEWHERE if isinstance(holder, _ID) else {"rna_type", "id_data"}
        for each in _values(holder, skipped | _HEAVY):
            if isinstance(each, _ID):
                yield each
            elif isinstance(each, bpy.types.bpy_struct):
                left.append(each)


def _values(holder: Any, skipped: "set[str]") -> "Iterator[Any]":
    for each in holder.bl_rna.properties:
        if each.type not in ("POINTER", "COLLECTION") or each.identifier in skipped:
            continue
        value = getattr(holder, each.identifier, None)
        if each.type == "COLLECTION":
            yield from value or ()
        else:
            yield value
    # Inputs of geometry nodes are custom properties until Blender 5.0.
    with_own = getattr(holder, "keys", None)
    try:
        yield from holder.values() if with_own else ()
    except TypeError:  # This type has none.
        return
