"""Which baked caches a scene needs: frames of point caches, fluids and oceans, in separate files.

Blender reports neither the files nor their absence: without them cloth does not move and a fluid is
a solid block, and it exits with 0. Only baked caches count: an unbaked one may be empty. Rigid
bodies are left out: Blender crashes when their cache is on disk.
"""

import os
import re
from collections.abc import Collection, Iterator
from typing import Any

import bpy

_FRAME = r"_(-?\d{4,})"


def missing(frames: "Collection[int]") -> "Iterator[tuple[Any, str]]":
    """Yield what a cache lacks for these frames: the block that owns it, and an absolute path.

    The path is the folder of the cache when it has no files, else a file name. Frames before the
    first existing one are not a gap, nor, of fluids, those after the last: they may be baked in
    part.
    """
    for owner, folder, name, own in _caches():
        expression = re.compile(name)
        there = {
            int(match[1]): file for file in _listed(folder) if (match := expression.fullmatch(file))
        }
        if not there:
            yield owner, folder
            continue
        first = min(there)
        if own is None:
            own = range(first, max(there))
        for frame in sorted(frames):
            if frame > first and frame in own and frame not in there:
                yield owner, os.path.join(folder, _renumbered(there[first], first, frame))


def _listed(folder: str) -> "list[str]":
    return os.listdir(folder) if os.path.isdir(folder) else []


def _renumbered(file: str, number: int, frame: int) -> str:
    """Return the name of another frame's file, made from an existing one."""
    digits = next(each for each in re.findall(_FRAME, file) if int(each) == number)
    return file.replace(f"_{digits}", f"_{frame:0{len(digits)}d}", 1)


def _caches() -> "Iterator[tuple[Any, str, str, range | None]]":
    """Yield each baked cache: owner, folder, an expression for its file names, and its frames.

    None where it is not known which frames were baked.
    """
    for thing in bpy.data.objects:
        for modifier in thing.modifiers:
            if modifier.show_render:
                for cache in point_caches(modifier):
                    yield from _on_disk(thing, cache)
                if modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
                    yield from _fluid(thing, modifier.domain_settings)
                if modifier.type == "OCEAN" and modifier.is_cached:
                    yield from _ocean(thing, modifier)


def point_caches(modifier: Any) -> "Iterator[Any]":
    """Yield the point caches of a modifier."""
    if modifier.type == "PARTICLE_SYSTEM":
        yield modifier.particle_system.point_cache
    elif modifier.type == "DYNAMIC_PAINT":
        canvas = modifier.canvas_settings
        yield from (each.point_cache for each in canvas.canvas_surfaces) if canvas else ()
    elif modifier.type in ("CLOTH", "SOFT_BODY"):
        yield modifier.point_cache


def _on_disk(owner: Any, cache: Any) -> "Iterator[tuple[Any, str, str, range]]":
    library = owner.library if cache.use_library_path else None
    file = bpy.path.abspath(library.filepath) if library else bpy.data.filepath
    if cache.use_external:
        folder = bpy.path.abspath(cache.filepath, library=library)
    elif cache.use_disk_cache and cache.is_baked:
        stem = os.path.basename(file)[: -len(".blend")]
        folder = os.path.join(os.path.dirname(file), f"blendcache_{stem}")
    else:
        return
    # A cache without a name of its own has that of its owner, each byte in hexadecimal.
    name = cache.name or owner.name.encode().hex().upper()
    expression = f"{re.escape(name)}{_FRAME}(?:_\\d+)?\\.bphys"
    # With steps, Blender interpolates between those that are there.
    own = range(cache.frame_start, cache.frame_end + 1, max(1, cache.frame_step))
    yield owner, os.path.normpath(folder), expression, own


def _ocean(owner: Any, ocean: Any) -> "Iterator[tuple[Any, str, str, range]]":
    folder = os.path.normpath(bpy.path.abspath(ocean.filepath, library=owner.library))
    own = range(ocean.frame_start, ocean.frame_end + 1)
    for part in ("disp", "foam") if ocean.use_foam else ("disp",):
        yield owner, folder, f"{part}{_FRAME}\\.exr", own


def _fluid(owner: Any, domain: Any) -> "Iterator[tuple[Any, str, str, None]]":
    if domain.cache_type == "REPLAY" or not domain.has_cache_baked_any:
        return
    # What is rendered in the end: the surface of a liquid, and smoke with its noise.
    if domain.domain_type == "LIQUID":
        part = "mesh" if domain.use_mesh and domain.has_cache_baked_mesh else "data"
    else:
        part = "noise" if domain.use_noise and domain.has_cache_baked_noise else "data"
    folder = bpy.path.abspath(domain.cache_directory, library=owner.library)
    yield owner, os.path.normpath(os.path.join(folder, part)), f"fluid_{part}{_FRAME}\\..+", None
