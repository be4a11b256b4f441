"""Which blocks of its libraries a scene no longer finds there.

When an artist renames an asset, each shot that links it renders without it. Blender replaces such a
block by an empty one, prints a line, and continues. Newer versions also mark the block.
"""

import os
from collections.abc import Iterable, Iterator

import bpy
import farm_checks
import farm_use
from farm_script import listed


def gone(printed: "Iterable[tuple[str, str, str]]", project: str) -> "list[str]":
    """Return a message for each library that lacks blocks of the scene.

    Parameters:
        printed: Blender's output when it opened the scene: kind, name, path of the library.
        project: paths below it are shown relative to it.
    """
    found = {}  # type: dict[str, set[str]]
    for kind, name, path in [*printed, *_marked()]:
        shown = farm_checks.shown(os.path.normpath(path), project)
        found.setdefault(shown, set()).add(f"{kind.lower()} '{name}'")
    return [_message(library, sorted(found[library])) for library in sorted(found)]


def dropped(overrides: "list[str]") -> str:
    """Return a message about library overrides that Blender has dropped; "" for none."""
    if not overrides:
        return ""
    return (
        f"Library overrides no longer fit their library, and are dropped with the changes in them:"
        f" {listed(overrides)}. Open the scene, make them anew, and submit again."
    )


def _marked() -> "Iterator[tuple[str, str, str]]":
    if "is_missing" not in bpy.types.ID.bl_rna.properties:
        return
    for block in bpy.data.user_map():
        if block.is_missing and block.library:
            path = bpy.path.abspath(block.library.filepath)
            yield farm_use.kind_of(block), block.name, path


def _message(library: str, blocks: "list[str]") -> str:
    return (
        f"The library {library} no longer contains data that the scene links to: {listed(blocks)}."
        " The frames are rendered without it. Link it again under its new name."
    )
