"""Which files the scenes of a submission need beyond those added, and where each one goes.

A file in the project's folder goes where it would go if it had been added. One from elsewhere gets
a place of its own below `farm_protocol.path_maps.GATHERED`: of nested folders the topmost counts,
so that files beside a library are beside it there, too.
"""

import json
import os
import posixpath
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from farm_protocol.path_maps import gathered_folder, path_map_of, short_hash
from farm_protocol.paths import UnsafePathError, canonical
from farm_protocol.private import FOLDER_MODE, open_private
from farm_protocol.real_paths import real_path
from farm_protocol.scene_files import MOST_BLENDS, MOST_NAMED, NamedFile

from envoy.gather.finding import Finder, Found, FoundFile
from envoy.gather.kinds import CACHE, LIBRARY, may_be_scene
from envoy.gather.named import absolute
from envoy.gather.policy import Policy
from envoy.gather.rules import Rules, plain_place
from envoy.gather.tracer import Tracer, TracerError
from envoy.journal import UploadFile

MOST_FILES = 500_000
_MOST_TOLD = 20
_MOST_NOTES = 100
_MOST_LACKS = 100
"""Limit per scene, since the farm is asked about each."""
_MOST_SHOWN = 5
_AT_A_TIME = 50
_MOST_SECONDS = 600.0
"""Time for reading scenes and their libraries; those being read at its end are the last."""


@dataclass(frozen=True, slots=True)
class Lack:
    """A file that the pixels of a scene certainly need, and that is not sent.

    Attributes:
        remote: where it would be found without a map; "": nowhere.
    """

    message: str
    remote: str
    is_sequence: bool


@dataclass(slots=True)
class Gathered:
    """The result of gathering.

    Attributes:
        files: to be sent in addition to those that were added.
        maps: of scenes that need one: remote path of the map -> its JSON.
        missing: of scenes that lack files: messages, by the scene's remote path.
        needed: those of the missing files that the pixels of these scenes certainly need.
        notes: messages about files found elsewhere than their .blend says, or not read.
    """

    files: list[UploadFile] = field(default_factory=list)
    maps: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    needed: dict[str, list[Lack]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def messages(self) -> list[str]:
        """All messages."""
        return [*self.notes, *(text for texts in self.missing.values() for text in texts)]


Mode = Literal["on", "asked", "off"]


class Gatherer:
    """Gathers for submissions. May be used from any thread."""

    def __init__(self, tracer: Tracer, mode: Mode, folders: Sequence[str], maps: Path) -> None:
        """Keep the settings that apply to all submissions.

        Parameters:
            mode: whether files are taken that nobody has added: unless a submission opts out, only
                if it opts in, or never.
            folders: see `Policy`.
            maps: folder for the maps on their way to the farm.
        """
        self._tracer, self._mode, self._maps = tracer, mode, maps
        self._folders = tuple(real_path(each) for each in folders)

    def gather(
        self,
        scenes: Sequence[str],
        files: Sequence[UploadFile],
        project: str,
        local_root: str,
        wanted: bool | None,
    ) -> Gathered:
        """Find files that scenes need, and keep the scenes' maps for the upload; blocks.

        Parameters:
            scenes: their remote paths; those that are not .blend files to be sent are skipped.
            files: the files to be sent.
            project: its name.
            local_root: the project's folder; "" when not known.
            wanted: what the submission says; None: nothing.

        Raises:
            OSError: the maps cannot be written.
        """
        takes = {"on": wanted is not False, "asked": wanted is True, "off": False}[self._mode]
        policy = Policy(takes, self._folders)
        found = _gather(scenes, files, project, local_root, self._tracer, policy)
        for remote, content in found.maps.items():
            local = self._keep(content)
            found.files.append(UploadFile(remote, str(local), len(content), str(self._maps)))
        return found

    def forget(self) -> None:
        """Remove all maps: none is in use."""
        for each in self._maps.glob("*.json"):
            each.unlink(missing_ok=True)

    def _keep(self, content: bytes) -> Path:
        # Waiting submissions may share a map.
        place = self._maps / f"{short_hash(content.decode())}.json"
        self._maps.mkdir(mode=FOLDER_MODE, exist_ok=True)
        with open(place, "wb", opener=open_private) as file:
            file.write(content)
        return place


def _gather(
    scenes: Sequence[str],
    files: Sequence[UploadFile],
    project: str,
    local_root: str,
    tracer: Tracer,
    policy: Policy,
) -> Gathered:
    locals_ = {file.remote: file.local for file in files}
    wanted = {scene: locals_[scene] for scene in scenes if _is_blend(locals_.get(scene, ""))}
    if not wanted:
        return Gathered()
    look = _Look(files, project, local_root, tracer, policy)
    try:
        look.read(list(dict.fromkeys(wanted.values())))
    except TracerError as error:
        look.found.notes.append(
            f"Envoy could not look for the files that the scenes name: {error}."
        )
        return look.found
    look.place()
    for scene, local in wanted.items():
        look.tell(scene, local)
    if look.is_exhausted:
        look.found.notes.append(
            "Envoy did not look for all files that the scenes name: these are too many."
        )
    if outside := look.outside:
        look.found.notes.append(
            f"From outside the project's folder these files are sent with it: {_some(outside)}."
        )
    return look.found


class _Look:
    def __init__(
        self,
        files: Sequence[UploadFile],
        project: str,
        local_root: str,
        tracer: Tracer,
        policy: Policy,
    ) -> None:
        self.found = Gathered()
        self.outside: list[str] = []
        self._project = project
        self._root = os.path.normpath(local_root) if os.path.isabs(local_root) else ""
        self._tracer = tracer
        self._remotes = {file.local: file.remote for file in files}
        self._taken = {file.remote for file in files}
        self._finder = Finder(policy, self._remotes.keys(), self._root)
        # The files that each .blend names, by its local path.
        self._named: dict[str, list[tuple[NamedFile, Found]]] = {}
        self._names = 0
        # Why local files are not sent, by their paths.
        self._left: dict[str, str] = {}
        # Ids of findings for which no file is sent.
        self._unsent: set[int] = set()

    def read(self, blends: Sequence[str]) -> None:
        """Read .blend files, their libraries, and the libraries of these.

        Raises TracerError.
        """
        waiting, until = dict.fromkeys(blends), time.monotonic() + _MOST_SECONDS
        while waiting:
            if limit := self._limit(until):
                self._note(f"Envoy did not look into all libraries of the scenes: {limit}.")
                return
            portion = list(waiting)[: min(_AT_A_TIME, MOST_BLENDS - len(self._named))]
            for blend, traced in self._tracer.trace(portion).items():
                if isinstance(traced, str):
                    self._note(traced)
                    traced = ()
                self._names += len(traced)
                self._named[blend] = [(each, self._finder.find(each, blend)) for each in traced]
                waiting |= dict.fromkeys(_libraries(self._named[blend]))
            waiting = {each: None for each in waiting if each not in self._named}

    def _limit(self, until: float) -> str:
        """Return which limit on reading has been reached; "" if none."""
        if len(self._named) >= MOST_BLENDS:
            return f"there are more than {MOST_BLENDS}"
        if self._names >= MOST_NAMED:
            return f"they name more than {MOST_NAMED} files"
        return "it takes too long" if time.monotonic() > until else ""

    def _note(self, text: str) -> None:
        if len(self.found.notes) < _MOST_NOTES:
            self.found.notes.append(text)

    @property
    def is_exhausted(self) -> bool:
        """Whether there was more to look up than the limit."""
        return self._finder.is_exhausted

    def place(self) -> None:
        """Give each file that nobody has added its place."""
        fresh: dict[str, FoundFile] = {}
        for found in self._all_found():
            fresh |= {each.local: each for each in found.files if not each.is_added}
        outside = {
            each for each in fresh if not self._root or not Path(each).is_relative_to(self._root)
        }
        folders = _topmost({fresh[local].folder for local in outside})
        for local, file in fresh.items():
            if local in outside:
                folder = next(each for each in _above(local) if each in folders)
                start = gathered_folder(self._project, folder)
            else:
                folder, start = self._root, self._project
            below = os.path.relpath(local, folder).replace(os.sep, "/")
            try:
                remote = canonical(f"{start}/{below}")
            except UnsafePathError as error:
                self._note(f"{local} was not gathered: {error}")
                self._left[local] = "the farm cannot have a file of this name"
                continue
            if remote in self._taken:
                self._left[local] = "another file of the project has its place"
                continue
            if len(self.found.files) >= MOST_FILES:
                self._left[local] = "there are too many files"
                continue
            self._taken.add(remote)
            self._remotes[local] = remote
            # Only the judged file: otherwise anyone who can replace the file, or a folder above it,
            # could make Envoy read a private file of the artist.
            self.found.files.append(UploadFile(remote, file.real, file.size, file.real, file.stamp))
            if local in outside:
                self.outside.append(local)
        self._unsent = {
            id(found)
            for found in self._all_found()
            if not found.is_left and all(each.local not in self._remotes for each in found.files)
        }

    def _all_found(self) -> Iterable[Found]:
        """Return the findings, each once: many names may stand for the same."""
        return {id(found): found for named in self._named.values() for _, found in named}.values()

    def tell(self, scene: str, local: str) -> None:
        """Make the map of a scene, and report what it lacks."""
        rules, is_needed = Rules(), False
        missing: dict[str, None] = {}
        mapped: set[tuple[int, str]] = set()
        for blend in self._closure(local):
            place = self._remotes.get(blend, "")
            if place:
                rules.add_blend(blend, place)
            for named, found in self._named[blend]:
                what = id(found), posixpath.dirname(place)
                if what not in mapped:
                    mapped.add(what)
                    is_needed |= self._map(named, found, place, rules)
                    if found.is_elsewhere:
                        self._note(
                            f"{os.path.basename(blend)} names '{named.path}', which is not on this"
                            f" machine. {found.files[0].local} is used in its place."
                        )
                # A cache may never have been baked.
                if id(found) in self._unsent and named.kind != CACHE:
                    refused = found.refused or self._reason(found)
                    message = _lacks(blend, named, refused)
                    missing[message] = None
                    # The needs of a library's own scene say nothing about this one. A file that
                    # exists may exist for the farm, too: on a shared disk.
                    if named.is_needed and blend == local and not refused:
                        lack = Lack(message, plain_place(named.path, place), named.is_sequence)
                        self._lack(scene, lack)
        if missing:
            self.found.missing[scene] = _cut(list(missing))
        if is_needed:
            if self._root:
                rules.add_folder(self._root, self._project)
            told_map = rules.map().model_dump(mode="json")
            self.found.maps[path_map_of(scene)] = json.dumps(told_map, indent=1).encode()

    def _reason(self, found: Found) -> str:
        """Return why a file that was found is not sent; "" when none was."""
        return next(
            (self._left[each.local] for each in found.files if each.local in self._left), ""
        )

    def _lack(self, scene: str, lack: Lack) -> None:
        lacks = self.found.needed.setdefault(scene, [])
        if len(lacks) < _MOST_LACKS:
            lacks.append(lack)

    def _map(self, named: NamedFile, found: Found, place: str, rules: Rules) -> bool:
        """Map what a path stands for; return whether it needs the map to be found."""
        is_needed = False
        for file in found.files:
            if remote := self._remotes.get(file.local, ""):
                is_needed |= not _is_plain(named, place, file, remote)
                rules.add(found.source_of(file), remote)
                below = f"/{file.relative}"
                if found.is_folder and remote.endswith(below):
                    rules.add_folder(found.source, remote.removesuffix(below))
        return is_needed

    def _closure(self, blend: str) -> list[str]:
        found, waiting = {blend: None}, [blend]
        while waiting:
            for each in _libraries(self._named.get(waiting.pop(), [])):
                if each not in found and each in self._named:
                    found[each] = None
                    waiting.append(each)
        return [each for each in found if each in self._named]


def _is_blend(local: str) -> bool:
    try:
        return bool(local) and may_be_scene(local)
    except OSError:
        return False


def _libraries(named: Sequence[tuple[NamedFile, Found]]) -> Iterator[str]:
    for each, found in named:
        if each.kind == LIBRARY:
            yield from (file.local for file in found.files)


def _topmost(folders: set[str]) -> set[str]:
    return {each for each in folders if not any(above in folders for above in _above(each))}


def _above(path: str) -> Iterator[str]:
    """Yield the folders above a path, the innermost first."""
    while (folder := os.path.dirname(path)) != path:
        yield folder
        path = folder


def _is_plain(named: NamedFile, blend: str, file: FoundFile, remote: str) -> bool:
    """Return whether a path leads to a file's place without any map."""
    plain = plain_place(named.path, blend)
    if not plain:
        return False
    return remote == plain or remote in (
        posixpath.join(plain, file.relative),
        posixpath.join(posixpath.dirname(plain), file.relative),
    )


def _lacks(blend: str, named: NamedFile, refused: str) -> str:
    who = f"{os.path.basename(blend)} needs '{named.path}' ({named.kind} '{named.data_block}')"
    if refused:
        return f"{who}, which is not sent: {refused}."
    path = absolute(named.path, blend)
    if path and path != named.path:
        return f"{who}, but there is no {path} on this machine."
    return f"{who}, which is not on this machine."


def _some(paths: list[str]) -> str:
    more = len(paths) - _MOST_SHOWN
    return ", ".join(paths[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _cut(messages: list[str]) -> list[str]:
    more = len(messages) - _MOST_TOLD
    return [*messages[:_MOST_TOLD], f"{more} more files are missing."] if more > 0 else messages
