"""Is everything there that the scene needs? Asked once, before the first frame.

Blender renders a missing texture in pink, a missing library as nothing, and exits with 0. Covered:
linked libraries (also of libraries), images (single, sequence, UDIM, movie), movie clips, sounds,
fonts, simulation and geometry caches, volumes, mesh caches, IES and OSL files, and the strips of a
sequencer that takes part in the render. Skipped: packed data and data that nothing uses.
"""

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import bpy

_BUILTIN_FONT = "<builtin>"
_FROM_BEHIND = re.compile(r"(\D*)\d+")
_NUMBER = re.compile(r"-?\d+")
_SHOWN = 10
"""Most missing files that one message lists."""


def missing_files(scene: Any, project: str) -> "list[str]":
    """Return the files that are missing, sorted, relative to ``project`` where they lie in it."""
    missing = {path for path in _needed(scene) if not _exists(path)}
    return sorted(_shown(path, project) for path in missing)


def message(missing: "list[str]") -> str:
    """Return one message that lists missing files."""
    listed = ", ".join(missing[:_SHOWN])
    if len(missing) > _SHOWN:
        listed += f" and {len(missing) - _SHOWN} more"
    if len(missing) == 1:
        return f"The scene needs a file that is missing: {listed}."
    return f"The scene needs {len(missing)} files that are missing: {listed}."


def _needed(scene: Any) -> "Iterator[str]":
    """Yield absolute paths; UDIM and sequence patterns are already files of the set."""
    data = bpy.data
    for library in data.libraries:
        if not _packed(library):
            yield bpy.path.abspath(library.filepath)
    for image in data.images:
        if _used(image) and not _packed(image):
            yield from _image(image)
    for block in _used_blocks(data.movieclips, data.sounds, data.volumes, data.cache_files):
        if not _packed(block) and block.filepath:
            yield from _path(block, block.filepath, getattr(block, "is_sequence", False))
    for font in _used_blocks(data.fonts):
        if not _packed(font) and font.filepath != _BUILTIN_FONT:
            yield from _path(font, font.filepath)
    for holder in _used_blocks(data.objects):
        for modifier in holder.modifiers:
            if modifier.type == "MESH_CACHE" and modifier.show_render and modifier.filepath:
                yield from _path(holder, modifier.filepath)
    for owner in _used_blocks(data.materials, data.worlds, data.lights, data.node_groups):
        tree = owner if owner.bl_rna.identifier.endswith("NodeTree") else owner.node_tree
        for node in tree.nodes if tree else ():
            # An IES light or OSL script that is kept inside the .blend has mode INTERNAL.
            if getattr(node, "mode", "") == "EXTERNAL" and getattr(node, "filepath", ""):
                yield from _path(owner, node.filepath)
    yield from _strips(scene)


def _used_blocks(*collections: "Iterable[Any]") -> "Iterator[Any]":
    for collection in collections:
        for block in collection:
            if _used(block):
                yield block


def _used(block: Any) -> bool:
    # A fake user keeps unused data in the file: nothing renders it.
    return bool(block.users - bool(block.use_fake_user) > 0)


def _packed(block: Any) -> bool:
    return bool(getattr(block, "packed_file", None) or getattr(block, "packed_files", None))


def _image(image: Any) -> "Iterator[str]":
    if image.source not in ("FILE", "SEQUENCE", "MOVIE", "TILED") or not image.filepath:
        return
    if image.source == "TILED":
        for tile in image.tiles:
            # Both ways of naming tiles: 1001, 1002 ... and u1_v1, u2_v1 ...
            column, row = (tile.number - 1001) % 10 + 1, (tile.number - 1001) // 10 + 1
            name = image.filepath.replace("<UDIM>", str(tile.number))
            yield from _path(image, name.replace("<UVTILE>", f"u{column}_v{row}"))
    else:
        yield from _path(image, image.filepath, image.source == "SEQUENCE")


def _path(owner: Any, path: str, sequence: bool = False) -> "Iterator[str]":
    """Yield the absolute path; of a sequence any file of it, since its first name may be a gap."""
    absolute = os.path.normpath(bpy.path.abspath(path, library=owner.library))
    if sequence and not os.path.exists(absolute):
        absolute = _any_of_sequence(absolute)
    yield absolute


def _any_of_sequence(path: str) -> str:
    folder, name = os.path.split(path)
    # The last run of digits is the frame number, as Blender sees it.
    match = _FROM_BEHIND.match(name[::-1])
    if match and os.path.isdir(folder):
        tail = name[len(name) - match.end(1) :]
        head = name[: len(name) - match.end()]
        for candidate in os.listdir(folder):
            number = candidate[len(head) : len(candidate) - len(tail)]
            if candidate == head + number + tail and _NUMBER.fullmatch(number):
                return os.path.join(folder, candidate)
    return path


def _strips(scene: Any) -> "Iterator[str]":
    editor = scene.sequence_editor
    if not scene.render.use_sequencer or editor is None:
        return
    # Blender 4.4 renamed `sequences_all`.
    strips: Any = getattr(editor, "strips_all", None) or getattr(editor, "sequences_all", ())
    for strip in strips:
        if strip.mute:
            continue
        if strip.type == "IMAGE":
            for element in strip.elements:
                yield from _path(scene, os.path.join(strip.directory, element.filename))
        elif strip.type == "MOVIE":
            yield from _path(scene, strip.filepath)


def _exists(path: str) -> bool:
    return os.path.isfile(path)


def _shown(path: str, project: str) -> str:
    relative = os.path.relpath(path, project)
    return path if relative.startswith("..") else relative.replace(os.sep, "/")
