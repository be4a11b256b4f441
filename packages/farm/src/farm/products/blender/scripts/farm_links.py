"""Which blocks of its libraries a scene no longer finds there.

When an artist renames an asset, each shot that links it renders without it. Blender replaces such a
block by an empty one, prints a line, and continues. Newer versions also mark the block.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import bpy
import farm_checks
import farm_use
from farm_script import listed


class Gone(NamedTuple):
    """Blocks that libraries no longer have, in words, by the library's path as it is shown.

    Attributes:
        needed: those that a pixel can depend on.
        others: those that no pixel of the scene depends on.
    """

    needed: "dict[str, set[str]]"
    others: "dict[str, set[str]]"


def gone(printed: "Iterable[tuple[str, str, str]]", scene: Any, project: str) -> Gone:
    """Return which blocks of the scene its libraries lack.

    Parameters:
        printed: Blender's output when it opened the scene: kind, name, path of the library.
        project: paths below it are shown relative to it.
    """
    found = Gone({}, {})
    lacking = [*printed, *_marked()]
    used = {_key(each) for each in farm_use.of_scene(scene) if each.library} if lacking else set()
    for kind, name, path in lacking:
        place = os.path.normpath(path)
        which = found.needed if (_word(kind), name, place) in used else found.others
        shown = farm_checks.shown(place, project)
        which.setdefault(shown, set()).add(f"{kind.lower()} '{name}'")
    return found


def refusal(lacking: "dict[str, set[str]]") -> str:
    """Return one message about a job that is stopped for what its libraries lack."""
    each = [f"{library} ({', '.join(sorted(lacking[library]))})" for library in sorted(lacking)]
    return (
        f"The frames need data that the scene's libraries no longer contain: {listed(each)}. Link"
        ' it again under its new name, or submit with missing_files="warn" to render without it.'
    )


def messages(lacking: "dict[str, set[str]]") -> "list[str]":
    """Return a message for each library that lacks something."""
    return [_message(library, sorted(lacking[library])) for library in sorted(lacking)]


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


def _key(block: Any) -> "tuple[str, str, str]":
    place = os.path.normpath(bpy.path.abspath(block.library.filepath))
    return _word(farm_use.kind_of(block)), block.name, place


def _word(kind: str) -> str:
    """Return the name of a kind of block: Blender prints some otherwise than it calls them."""
    word = kind.replace(" ", "").lower()
    return {"vectorfont": "font", "haircurves": "curves"}.get(word, word)


def _message(library: str, blocks: "list[str]") -> str:
    return (
        f"The library {library} no longer contains data that the scene links to: {listed(blocks)}."
        " The frames are rendered without it. Link it again under its new name."
    )
