"""Checks that everything that the scene needs exists, once before the first frame.

Blender renders a missing texture in pink, a missing library as nothing, and exits with 0. Covered:
linked libraries (also of libraries), images (single, sequence, UDIM, movie), movie clips, sounds,
fonts, geometry caches, volumes, mesh caches, baked simulations (`farm_caches`), IES and OSL files,
what geometry nodes import, and the strips of a sequencer that takes part in the render. Skipped:
packed data and unused data.

Files that no pixel depends on (`farm_use`) may be missing. A volume that Blender cannot read counts
as missing: it renders nothing in its place, and prints nothing. So does a picture that is certainly
damaged (`farm_damage`).
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import bpy
import farm_caches
import farm_damage
import farm_images
import farm_nodes
import farm_parts
import farm_strips
import farm_use
from farm_script import listed

_BUILTIN_FONT = "<builtin>"
_FROM_BEHIND = re.compile(r"(\D*)\d+")
_NUMBER = re.compile(r"-?\d+")


_PICTURE = object()
"""Owns what makes the picture itself."""


class Missing(NamedTuple):
    """Missing files, sorted, relative to the project if they are in it.

    Attributes:
        needed: those that a pixel can depend on.
        others: those that no pixel of the scene depends on.
    """

    needed: "list[str]"
    others: "list[str]"


def missing_files(scene: Any, frames: "Collection[int]", project: str) -> Missing:
    """Return the missing files; of those that are needed, also the damaged ones."""
    named = list(_named(scene, frames))
    missing = [each for each in named if not _exists(each[1])]
    missing += _unreadable_volumes()
    missing += farm_caches.missing(frames)
    missing += farm_images.missing(frames)
    used = farm_use.of_scene(scene)
    # Blender has replaced each block of a missing library.
    used |= {each.library for each in used if each.library}
    used.add(_PICTURE)
    there = dict.fromkeys([*named, *farm_images.shown(frames)])
    missing += [each for each in there if each[0] in used and _is_damaged(*each)]
    needed = {shown(path, project) for owner, path in missing if owner in used}
    others = {shown(path, project) for owner, path in missing} - needed
    return Missing(sorted(needed), sorted(others))


def message(missing: "list[str]") -> str:
    """Return one message that lists missing files that are needed."""
    if len(missing) == 1:
        return (
            f"The scene needs a file that is missing or damaged: {listed(missing)}. Add it, or"
            ' submit with missing_files="warn" to render without it.'
        )
    return (
        f"The scene needs {len(missing)} files that are missing or damaged: {listed(missing)}. Add"
        ' them, or submit with missing_files="warn" to render without them.'
    )


def without(missing: "list[str]") -> str:
    """Return one message that lists needed files without which the scene is rendered.

    The job allowed that.
    """
    return f"Rendered without files that the scene needs: {listed(missing)}."


def note(missing: "list[str]") -> str:
    """Return one message that lists missing files that are not needed."""
    return (
        f"The scene names files that are missing, but that no frame depends on: {listed(missing)}."
    )


def _named(scene: Any, frames: "Collection[int]") -> "Iterator[tuple[Any, str]]":
    """Yield each reference to a file, and its absolute path.

    UDIM and sequence patterns are already files of the set.
    """
    data = bpy.data
    for library in data.libraries:
        if not _packed(library):
            yield library, bpy.path.abspath(library.filepath)
    for image in data.images:
        if _used(image) and not _packed(image):
            yield from _each(image, _image(image))
    for block in _used_blocks(data.movieclips, data.sounds, data.volumes, data.cache_files):
        if not _packed(block) and block.filepath:
            sequence = getattr(block, "is_sequence", False)
            yield from _each(block, _path(block, block.filepath, sequence))
    for font in _used_blocks(data.fonts):
        if not _packed(font) and font.filepath != _BUILTIN_FONT:
            yield from _each(font, _path(font, font.filepath))
    for holder in _used_blocks(data.objects):
        for modifier in holder.modifiers:
            if modifier.type == "MESH_CACHE" and modifier.filepath:
                is_on = modifier in farm_parts.modifiers(holder)
                yield from _each(holder if is_on else None, _path(holder, modifier.filepath))
    for owner in _used_blocks(data.materials, data.worlds, data.lights, data.node_groups):
        tree = owner if owner.bl_rna.identifier.endswith("NodeTree") else owner.node_tree
        for node, path in farm_nodes.imported(tree) if tree else ():
            yield from _each(owner if _counts(tree, node) else None, _path(owner, path))
        for node in tree.nodes if tree else ():
            # An IES light or OSL script that is kept inside the .blend has mode INTERNAL.
            if getattr(node, "mode", "") == "EXTERNAL" and getattr(node, "filepath", ""):
                is_used = _counts(tree, node)
                yield from _each(owner if is_used else None, _path(owner, node.filepath))
    for sequenced in farm_strips.sequenced(scene):
        yield from _strips(sequenced, frames if sequenced == scene else ())


def _counts(tree: Any, node: Any) -> bool:
    return node in farm_nodes.reached(tree) and not farm_nodes.is_muted(tree, node)


def _unreadable_volumes() -> "Iterator[tuple[Any, str]]":
    """Yield volumes whose file is there but holds none. The voxels are not read for it."""
    for volume in _used_blocks(bpy.data.volumes):
        for path in _path(volume, volume.filepath, volume.is_sequence):
            if _exists(path) and not _packed(volume) and not _loads(volume):
                yield volume, path


def _is_damaged(owner: Any, path: str) -> bool:
    """Return whether a file that is there is certainly no picture, if it has to be one."""
    is_picture = owner is _PICTURE or isinstance(owner, (bpy.types.Image, bpy.types.MovieClip))
    if not is_picture or not _exists(path):
        return False
    if farm_damage.is_damaged(path):
        return True
    if not isinstance(owner, bpy.types.Image) or owner.source != "FILE" or owner.has_data:
        return False
    if farm_damage.is_known(path) or farm_damage.is_foreign(path):
        return False
    # Of any other format: it has no size if Blender cannot read it.
    is_empty = not all(owner.size)
    owner.buffers_free()
    return is_empty


def _loads(volume: Any) -> bool:
    grids = volume.grids
    # A volume of a sequence may have none at this frame.
    return bool(grids.load()) or volume.is_sequence or not grids.error_message


def _each(owner: Any, paths: "Iterable[str]") -> "Iterator[tuple[Any, str]]":
    for path in paths:
        yield owner, path


def _used_blocks(*collections: "Iterable[Any]") -> "Iterator[Any]":
    for collection in collections:
        for block in collection:
            if _used(block):
                yield block


def _used(block: Any) -> bool:
    # A fake user keeps unused data in the file: it is not rendered.
    return bool(block.users - bool(block.use_fake_user) > 0)


def _packed(block: Any) -> bool:
    return bool(getattr(block, "packed_file", None) or getattr(block, "packed_files", None))


def _image(image: Any) -> "Iterator[str]":
    if image.source not in ("FILE", "SEQUENCE", "MOVIE", "TILED") or not image.filepath:
        return
    if image.source == "TILED":
        for tile in image.tiles:
            # Both ways of numbering tiles: 1001, 1002 ... and u1_v1, u2_v1 ...
            column, row = (tile.number - 1001) % 10 + 1, (tile.number - 1001) // 10 + 1
            name = image.filepath.replace("<UDIM>", str(tile.number))
            yield from _path(image, name.replace("<UVTILE>", f"u{column}_v{row}"))
    else:
        yield from _path(image, image.filepath, image.source == "SEQUENCE")


def _path(owner: Any, path: str, sequence: bool = False) -> "Iterator[str]":
    """Yield the absolute path; for a sequence any of its files, since the first may be missing."""
    absolute = os.path.normpath(bpy.path.abspath(path, library=owner.library))
    if sequence and not os.path.exists(absolute):
        absolute = _any_of_sequence(absolute)
    yield absolute


def _any_of_sequence(path: str) -> str:
    folder, name = os.path.split(path)
    # The last run of digits is the frame number, as in Blender.
    match = _FROM_BEHIND.match(name[::-1])
    if match and os.path.isdir(folder):
        tail = name[len(name) - match.end(1) :]
        head = name[: len(name) - match.end()]
        for candidate in os.listdir(folder):
            number = candidate[len(head) : len(candidate) - len(tail)]
            if candidate == head + number + tail and _NUMBER.fullmatch(number):
                return os.path.join(folder, candidate)
    return path


def _strips(scene: Any, frames: "Collection[int]") -> "Iterator[tuple[Any, str]]":
    """Yield the files of a scene's strips; without frames, all of them are needed."""
    for strip, is_shown in farm_strips.at(scene, frames):
        owner = _PICTURE if is_shown or not frames else None
        if strip.type == "IMAGE":
            for element in strip.elements:
                path = os.path.join(strip.directory, element.filename)
                yield from _each(owner, _path(scene, path))
        elif strip.type == "MOVIE":
            yield from _each(owner, _path(scene, strip.filepath))


def _exists(path: str) -> bool:
    return os.path.isfile(path)


def shown(path: str, project: str) -> str:
    """Return a path for people: relative to the project if it is in it."""
    relative = os.path.relpath(path, project)
    return path if relative.startswith("..") else relative.replace(os.sep, "/")
