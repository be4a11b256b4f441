"""Redirects an opened scene to the local places of its files: the artist's paths lead elsewhere.

Only the opened scene is changed, in memory. Paths that lead to a file of the project are left
alone, and so are unknown ones, so that messages show them as the artist knows them. A name also
matches a file whose name reads the same but encodes its accents differently (Unicode NFC and NFD):
to macOS, where such scenes are made, they are one.

Libraries come first: Blender has created empty placeholders for missing data, and replaces them
when a library is read again. Then come the libraries that these link.
"""

import functools
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import bpy
import farm_caches
import farm_strips
from farm_paths import PathMap, parts_of

_FILE_KINDS = ("FILE_PATH", "DIR_PATH")
_SETS = ("SEQUENCE", "TILED")
_NUMBER = re.compile(r"[0-9<#]")
"""Begins what differs in the names of a set's files."""


class Mapping:
    """The map of one scene.

    Attributes:
        relinked: paths of libraries, as Blender prints them, that were read from another place.
    """

    def __init__(self, rules: PathMap, project: str) -> None:
        """Store the rules.

        Parameters:
            project: folder below which each file lies at its remote path.
        """
        self.relinked = set()  # type: set[str]
        self._rules, self._project = rules, project

    def link(self) -> None:
        """Read libraries from their local places."""
        # Each path once: a file that is not a library would be retried for ever.
        while found := next(self._unlinked(), None):
            library, place = found
            self.relinked.update((library.filepath, _absolute(library.filepath)))
            library.filepath = place
            library.reload()

    def apply(self) -> None:
        """Redirect all other paths to the local places of their files."""
        for owner, holder, name, is_set in _paths():
            place = self._place(getattr(holder, name), owner.library, is_set)
            if place:
                _set(holder, name, place)

    def _unlinked(self) -> "Iterator[tuple[Any, str]]":
        for library in bpy.data.libraries:
            path = library.filepath
            if path in self.relinked or getattr(library, "packed_file", None):
                continue
            place = self._place(path, None, False)
            if not place and library.parent and not os.path.exists(_absolute(path)):
                # Blender has interpreted it as a path on this machine, relative to the library that
                # names it.
                parent = _absolute(library.parent.filepath)
                below = os.path.relpath(_absolute(path), os.path.dirname(parent))
                place = self._first(self._rules.meant("//" + below, self._remote(parent)), False)
            if place and not _is_same(place, _absolute(path)):
                yield library, place

    def _place(self, path: str, library: Any, is_set: bool) -> str:
        """Return the local place for a path; "" where it stays unchanged."""
        if not path:
            return ""
        blend = _absolute(library.filepath) if library else bpy.data.filepath
        here = os.path.normpath(bpy.path.abspath(path, library=library))
        if self._is_ours(here) and _is_there(here, is_set):
            return ""
        meant = self._rules.meant(path, self._remote(blend))
        return self._first([*meant, self._remote(here)] if self._is_ours(here) else meant, is_set)

    def _first(self, remotes: "list[str]", is_set: bool) -> str:
        others = [unicodedata.normalize(form, each) for each in remotes for form in ("NFC", "NFD")]
        places = [os.path.join(self._project, *each.split("/")) for each in [*remotes, *others]]
        return next((place for place in places if _is_there(place, is_set)), "")

    def _remote(self, path: str) -> str:
        return os.path.relpath(path, self._project).replace(os.sep, "/")

    def _is_ours(self, path: str) -> bool:
        return path.startswith(os.path.join(self._project, ""))


def read(path: str, project: str) -> Mapping:
    """Return the mapping in a file; one that changes nothing when there is none."""
    rules = []  # type: list[tuple[str, str]]
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        rules = [(each["source_path"], each["destination_path"]) for each in content["rules"]]
    # Nothing leads out of the project.
    rules = [each for each in rules if ".." not in each[1].split("/") and not parts_of(each[1])]
    return Mapping(PathMap(rules), project)


def _is_there(path: str, is_set: bool) -> bool:
    """Return whether a file exists, or one that begins like those that a name stands for."""
    if os.path.exists(path) or not is_set:
        return os.path.exists(path)
    folder, name = os.path.split(path)
    beginning = _NUMBER.split(name)[0]
    return any(each.startswith(beginning) for each in _names(folder))


@functools.lru_cache(maxsize=256)
def _names(folder: str) -> "tuple[str, ...]":
    """Return the names in a folder; none if it is not one. They stay until a frame is rendered."""
    return tuple(os.listdir(folder)) if os.path.isdir(folder) else ()


def _is_same(one: str, other: str) -> bool:
    return os.path.exists(other) and os.path.samefile(one, other)


def _absolute(path: str) -> str:
    return str(os.path.normpath(bpy.path.abspath(path)))


def _set(holder: Any, name: str, place: str) -> None:
    if isinstance(holder, bpy.types.VectorFont):
        # Its path is read-only.
        holder.user_remap(bpy.data.fonts.load(place))
    else:
        setattr(holder, name, place)


def _paths() -> "Iterator[tuple[Any, Any, str, bool]]":
    """Yield each path: its block, what has it, by which name, and whether it stands for several."""
    data = bpy.data
    for image in list(data.images):
        if not _is_packed(image) and image.source != "GENERATED":
            yield image, image, "filepath", image.source in _SETS
    for block in [*data.movieclips, *data.sounds, *data.volumes, *data.cache_files, *data.fonts]:
        if not _is_packed(block) and block.filepath != "<builtin>":
            is_set = getattr(block, "is_sequence", False) or (
                getattr(block, "source", "") == "SEQUENCE"
            )
            yield block, block, "filepath", is_set
            for layer in getattr(block, "layers", ()):
                yield from _own(block, layer)
    for thing in data.objects:
        for modifier in thing.modifiers:
            yield from _of_modifier(thing, modifier)
    for owner in [*data.materials, *data.worlds, *data.lights, *data.node_groups]:
        tree = owner if owner.bl_rna.identifier.endswith("NodeTree") else owner.node_tree
        for node in tree.nodes if tree else ():
            # A File Output node's path leads to where it writes.
            if node.type != "OUTPUT_FILE":
                yield from _own(owner, node)
                for socket in node.inputs:
                    yield from _own(owner, socket)
    for scene in data.scenes:
        for strip in farm_strips.strips(scene.sequence_editor) if scene.sequence_editor else ():
            if strip.type == "IMAGE":
                yield scene, strip, "directory", False
            elif strip.type == "MOVIE":
                yield scene, strip, "filepath", False
        world = scene.rigidbody_world
        if world is not None and world.point_cache.use_external:
            yield scene, world.point_cache, "filepath", False


def _of_modifier(thing: Any, modifier: Any) -> "Iterator[tuple[Any, Any, str, bool]]":
    yield from _own(thing, modifier)
    if modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
        yield thing, modifier.domain_settings, "cache_directory", False
    for cache in farm_caches.point_caches(modifier):
        if cache.use_external:
            yield thing, cache, "filepath", False
    for bake in getattr(modifier, "bakes", ()):
        if getattr(bake, "use_custom_path", False):
            yield thing, bake, "directory", False


def _own(owner: Any, holder: Any) -> "Iterator[tuple[Any, Any, str, bool]]":
    """Yield the paths in a block's own properties."""
    for each in holder.bl_rna.properties:
        if each.type == "STRING" and each.subtype in _FILE_KINDS and not each.is_readonly:
            yield owner, holder, each.identifier, False


def _is_packed(block: Any) -> bool:
    return bool(getattr(block, "packed_file", None) or getattr(block, "packed_files", None))
