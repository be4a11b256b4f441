"""The files that a .blend and the libraries that it links name: a program of its own.

    python -m farm.scenes.blend_trace     a question: stdin, an answer: stdout

Both are those of `farm.scenes.trace_messages`. Where the question has the paths of a project, only
what it lacks is answered.

Reading is done by blender-asset-tracer (BAT). It trusts what it reads: a damaged or hostile file
can send it round in circles, or into all memory and disk. So it works in a process that sees these
files only and has limits, and that its starter can end; see `farm.scenes.blend_assets`.

BAT 1.23 was tried with files of Blender 3.4, 4.5 and 5.0, plain and compressed. Its own walk
through libraries is not used: it opens whatever path a scene names, anywhere on this disk, and
follows only some of the ways in which one data-block needs another. Here a library is opened only
when the project has it, and everything in it counts.
"""

import contextlib
import errno
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO, Any

from blender_asset_tracer import blendfile, trace
from blender_asset_tracer.trace import blocks2assets
from blender_asset_tracer.trace.result import BlockUsage

from farm.confine.own_limits import limit, lower
from farm.scenes.asset_paths import expected_path
from farm.scenes.blend_imports import imports
from farm.scenes.blend_use import certainly_needed
from farm.scenes.expanding import expanded
from farm.scenes.lacks import SECONDS, Lacks, lacks
from farm.scenes.mapped import Mapped, mapped
from farm.scenes.scene_maps import rules_in
from farm.scenes.trace_messages import File, Named, Question, Unreadable
from farm.scenes.usages import AssetKind, Usage

_MAX_MEMORY = 2 * 1024**3
"""Bytes of address space."""
_MAX_ANSWER = 256 * 1024**2
"""Bytes that may be written as an answer, more than anybody reads."""
_FREELY_SECONDS = 5
_BYTES_A_SECOND = 4 * 1024**2
"""Of processor time: seconds that any .blend may take, and bytes of a larger one for each second
more. Real ones are read twenty times as fast; one of a few bytes can ask for a loop without end."""
_MAX_FILES = 4096
_MAX_USAGES = 100_000
_SPARE_SECONDS = 10
"""Of processor time: for reading a map, and for what looking for files takes beyond its own, as for
reading the paths of a project."""


_KINDS = {
    b"IM": AssetKind.IMAGE,
    b"LI": AssetKind.LIBRARY,
    b"VF": AssetKind.FONT,
    b"SO": AssetKind.SOUND,
    b"MC": AssetKind.MOVIE_CLIP,
    b"SC": AssetKind.STRIP,
    b"VO": AssetKind.VOLUME,
    b"LA": AssetKind.LIGHT_PROFILE,
    b"CF": AssetKind.CACHE,
    b"ME": AssetKind.CACHE,
    b"OB": AssetKind.CACHE,
}


class TraceError(Exception):
    """A .blend cannot be read. ``str()``: what is the matter.

    ``path``: its remote path. ``lacks_room``: it is the disk's fault.
    """

    def __init__(self, path: str, reason: str, lacks_room: bool = False) -> None:
        super().__init__(reason)
        self.path, self.lacks_room = path, lacks_room


def usages(scene: str, blends: Mapping[str, Path], places: Mapped, room: int) -> Iterator[Usage]:
    """Yield what a scene and its libraries name, each file once for each .blend.

    Parameters:
        scene: remote path of a .blend.
        blends: where the .blend files lie on this disk, by remote path; ``scene`` is one of them.
        places: maps paths of the artist's machine.
        room: bytes that a .blend may be expanded to, at most.

    Raises:
        TraceError: one of them cannot be read. Libraries that are not in ``blends`` are left out.
    """
    waiting, seen = [scene], {scene}
    while waiting:
        blend = waiting.pop(0)
        for usage in dict.fromkeys(_usages_of(blend, blends[blend], room)):
            yield usage
            if usage.kind is not AssetKind.LIBRARY:
                continue
            meant = [expected_path(usage.path, blend), *places.meant(usage.path, blend)]
            library = next((each for each in meant if each in blends), None)
            if library is not None and library not in seen:
                seen.add(library)
                waiting.append(library)


def _usages_of(remote_path: str, path: Path, room: int) -> Iterator[Usage]:
    most = expanded(_size(path))
    try:
        lower("RLIMIT_FSIZE", min(most, room))
        lower("RLIMIT_CPU", int(time.process_time()) + _seconds(path))
        with contextlib.closing(blendfile.BlendFile(path)) as opened:
            # Names of disk caches are made from it. BAT reads through the file that is open.
            opened.filepath = Path(remote_path)
            linked = {each.get(b"lib") for each in opened.find_blocks_from_code(b"ID")}
            needed = certainly_needed(opened)
            for block in trace.asset_holding_blocks(opened.blocks):
                # Blender opens a library only for the data-blocks that are linked from it. One
                # that is here without them was packed into this file.
                if block.code != b"LI" or block.addr_old in linked:
                    yield from _usages_in(block, remote_path, block.addr_old in needed)
            for tree, written in imports(opened):
                name = (tree.id_name or b"")[2:].decode("utf-8", "replace")
                place = written.decode("utf-8", "replace")
                yield Usage(place, remote_path, AssetKind.IMPORTED, name, is_sequence=False)
    except TraceError:
        raise
    except OSError as error:
        reason = type(error).__name__
        if error.errno == errno.EFBIG:
            reason = f"it expands to more than {most // 1024**2} MB"
        lacks_room = error.errno == errno.ENOSPC or (error.errno == errno.EFBIG and room < most)
        raise TraceError(remote_path, reason, lacks_room) from error
    # Damage shows as any of a dozen exceptions, BAT's and Python's.
    except Exception as error:
        raise TraceError(remote_path, type(error).__name__) from error


def _usages_in(
    block: blendfile.BlendFileBlock, remote_path: str, is_needed: bool
) -> Iterator[Usage]:
    for found in blocks2assets.iter_assets(block):
        # Modifiers also show images and caches of others, which have their own turn, where it is
        # known whether they are packed.
        if len(found.block.code) == 2 and found.block.code != block.code:
            continue
        if found.asset_path:
            name = (block.id_name or b"")[2:]
            yield Usage(
                path=_as_written(found),
                used_by=remote_path,
                kind=_KINDS.get(block.code, AssetKind.CACHE),
                data_block=name.decode("utf-8", "replace"),
                is_sequence=found.is_sequence,
                is_needed=is_needed,
            )


def _as_written(found: BlockUsage) -> str:
    """Return the path with its backslashes. BAT replaces them, and ``\\\\server`` is not ``//``."""
    path: bytes = found.asset_path
    if found.path_full_field is not None:
        written = found.block.get(found.path_full_field.name.name_only, default=None)
        if isinstance(written, bytes) and written.replace(b"\\", b"/") == path:
            path = written
    return path.decode("utf-8", "replace")


class _OpenFile(type(Path())):  # type: ignore[misc]
    """A path whose file is open already: who this process becomes may not open it."""

    held: int

    def open(self, mode: str = "r", buffering: int = -1, *_: Any, **__: Any) -> IO[Any]:
        file = os.dup(self.held)
        os.lseek(file, 0, os.SEEK_SET)
        return os.fdopen(file, mode, buffering)


def _hold(named: File) -> Path:
    file = _OpenFile(named.path)
    file.held = os.open(named.path, os.O_RDONLY) if named.held is None else named.held
    return file


def _seconds(path: Path) -> int:
    """Return how much processor time a .blend may take."""
    return _FREELY_SECONDS + _size(path) // _BYTES_A_SECOND


def _size(path: Path) -> int:
    return os.fstat(path.held).st_size if isinstance(path, _OpenFile) else path.stat().st_size


class _Block(blendfile.BlendFileBlock):
    """A block of a .blend. Refuses negative sizes, with which BAT would read in a circle."""

    def __init__(self, file: blendfile.BlendFile) -> None:
        super().__init__(file)
        if self.size < 0:
            raise blendfile.exceptions.BlendFileError("a block of negative size", file.filepath)


def _answer(
    question: Question, blends: Mapping[str, Path], scenes_map: Path | None
) -> Named | Lacks | Unreadable:
    try:
        places = _places(scenes_map)
        found = list(islice(usages(question.scene, blends, places, question.room), _MAX_USAGES + 1))
        if len(found) > _MAX_USAGES:
            return Unreadable(question.scene, f"more than {_MAX_USAGES} files")
        if not question.has_paths:
            return Named(found)
        lower("RLIMIT_CPU", int(time.process_time() + SECONDS) + _SPARE_SECONDS)
        return lacks(found, _paths(), places)
    except TraceError as error:
        return Unreadable(error.path, str(error), error.lacks_room)
    except MemoryError as error:
        return Unreadable(question.scene, type(error).__name__)


def main() -> None:
    """Read a question from standard input, and answer it."""
    message = json.loads(sys.stdin.buffer.readline())
    files = {remote: File(**each) for remote, each in message.pop("blends").items()}
    map_file = message.pop("map")
    question = Question(blends=files, map=File(**map_file) if map_file else None, **message)
    blends = {remote: _hold(file) for remote, file in question.blends.items()}
    scenes_map = _hold(question.map) if question.map else None
    limit(_MAX_MEMORY, _MAX_FILES, max(question.room, _MAX_ANSWER))
    logging.disable()  # BAT's, about what it finds odd in a scene; errors are answered
    # Of pointers that lead nowhere real files have a few; what they would lead to is not used.
    blendfile.set_strict_pointer_mode(False)
    blendfile.BlendFileBlock = _Block  # type: ignore[misc, assignment]
    answer = asdict(_answer(question, blends, scenes_map))
    lower("RLIMIT_FSIZE", _MAX_ANSWER)
    json.dump(answer, sys.stdout)


def _places(scenes_map: Path | None) -> Mapped:
    lower("RLIMIT_CPU", int(time.process_time()) + _SPARE_SECONDS)
    if scenes_map is None:
        return mapped(())
    with scenes_map.open("rb") as file:
        return mapped(rules_in(file))


def _paths() -> list[str]:
    content = sys.stdin.buffer.read()
    return content.decode("utf-8", "surrogatepass").split("\0")[:-1]


if __name__ == "__main__":
    main()
