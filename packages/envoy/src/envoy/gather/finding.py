"""The files on this machine that a path in a .blend stands for."""

import ntpath
import os
import stat
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from farm_protocol.file_sets import beginning, is_one_of
from farm_protocol.real_paths import real_path
from farm_protocol.scene_files import NamedFile
from farm_protocol.spellings import folded

from envoy.gather.caches import frames_in, is_frame
from envoy.gather.disk import Disk, TooMuchError
from envoy.gather.kinds import CACHE, CACHE_FOLDER, is_of_kind
from envoy.gather.named import absolute, ends, rules_of
from envoy.gather.policy import Policy
from envoy.process.local_files import stamp_of_status

MOST_OF_A_SET = 100_000
_OWN_CACHE = "//blendcache_"
"""Folder where Blender keeps the caches of a .blend. No path in the .blend names it; caches can be
large and outdated, so whoever adds a .blend adds them, too, or bakes again.
"""
_LEFT, _NOT_ADDED = "left", "nobody has added it"
_OPENED, _KNOWN = 10, 5
"""The cost, in steps of `Disk`, of judging a file, and of one that is already judged."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file.

    Attributes:
        local: absolute path.
        real: its real path when it was judged; for one that is added anyway, as `local`.
        relative: below `folder`, with slashes.
        size: in bytes; 0 for one that is added anyway.
        stamp: `envoy.process.local_files.stamp_of` it; "" for one that is added anyway.
        is_added: somebody has added it.
    """

    local: str
    real: str
    relative: str
    size: int = 0
    stamp: str = ""
    is_added: bool = False

    @property
    def folder(self) -> str:
        """The named folder, or the parent folder of the named file."""
        folder = os.path.dirname(self.local)
        for _ in range(self.relative.count("/")):
            folder = os.path.dirname(folder)
        return folder


@dataclass(frozen=True, slots=True)
class Found:
    """What a path stands for. The same object for all equal paths in the same folder.

    Attributes:
        files: empty: there are none, or none is taken.
        refused: why none is taken; "" when there is none.
        is_elsewhere: found elsewhere than the path says.
        is_left: it is in the project's folder, and is skipped because nobody has added it.
        source: what the .blend names, as an absolute path of any system.
        is_set, is_folder: the source stands for several files; it is their folder.
    """

    files: tuple[FoundFile, ...] = ()
    refused: str = ""
    is_elsewhere: bool = False
    is_left: bool = False
    source: str = ""
    is_set: bool = False
    is_folder: bool = False

    def source_of(self, file: FoundFile) -> str:
        """Return the path by which the .blend would refer to this file on its own."""
        if not self.is_set:
            return self.source
        return _joined(self.source if self.is_folder else _split(self.source)[0], file.relative)


class Finder:
    """Looks for files, and decides whether they are taken.

    Attributes:
        is_exhausted: there was more to look up than the limit.
    """

    def __init__(self, policy: Policy, added: Collection[str], root: str) -> None:
        """Prepare a search.

        Parameters:
            added: local paths of files that are sent anyway.
            root: the project's folder; "" when not known.
        """
        self._policy, self._added, self._root = policy, added, root
        self._real_root = _real(root) if root else ""
        self._by_name: dict[str, list[str]] = {}
        for path in added:
            self._by_name.setdefault(folded(os.path.basename(path)), []).append(path)
        self.is_exhausted = False
        self._disk = Disk()
        self._found: dict[tuple[str, str, bool, str], Found] = {}
        self._there: dict[tuple[str, str, bool], Found] = {}
        self._judged: dict[tuple[str, str], tuple[str, os.stat_result] | str] = {}

    def find(self, named: NamedFile, blend: str) -> Found:
        """Return the files that a path in a .blend stands for.

        Parameters:
            blend: local path of the .blend.
        """
        if blend in self._added and named.path.startswith(_OWN_CACHE):
            return Found(is_left=True)
        key = named.path, named.kind, named.is_sequence, os.path.dirname(blend)
        found = self._found.get(key)
        if found is None:
            try:
                found = self._find(named, blend)
                self._disk.spend(1 + len(found.files))
            except TooMuchError:
                self.is_exhausted = True
                found = Found(refused="the scenes name more than Envoy looks at")
            self._found[key] = found
        return found

    def _find(self, named: NamedFile, blend: str) -> Found:
        path = absolute(named.path, blend)
        if path:
            refused = self._policy.refuses_path(path)
            found = Found(refused=refused) if refused else self._at(path, path, named)
            if not (found.files or refused or path.isascii()):
                found = self._encoded(path, named) or found
            if found.files or named.path.startswith("//"):
                return found
        elif rules_of(named.path) is None:
            return Found()
        else:
            found = Found()
        # The .blend is from another machine, where the project may have had another place.
        for other in self._elsewhere(named.path, blend):
            there = self._at(other, named.path, named)
            if there.files:
                return replace(there, is_elsewhere=True)
        return found

    def _encoded(self, path: str, named: NamedFile) -> Found | None:
        """Return the files of a path whose names read the same; None when there are none.

        To macOS such names are one, and what was made there has either. Here only one is there.
        """
        paths = [self._disk.encoded(path)]
        if named.is_sequence:
            # The name may be none of a file, but a pattern.
            folder, name = os.path.split(path)
            folder = folder if self._disk.is_folder(folder) else self._disk.encoded(folder)
            forms = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
            paths += [os.path.join(folder, each) for each in forms if folder]
        for each in filter(None, paths):
            found = self._at(each, path, named)
            if found.files:
                return found
        return None

    def _elsewhere(self, path: str, blend: str) -> Iterator[str]:
        roots = dict.fromkeys(each for each in (self._root, os.path.dirname(blend)) if each)
        for root in roots:
            for end in ends(path, root):
                self._disk.spend(len(end))
                if found := self._below(root, end):
                    yield found
        same = self._by_name.get(folded(_split(path)[1]), ())
        if len(same) == 1:
            yield same[0]

    def _below(self, root: str, names: tuple[str, ...]) -> str:
        """Return the path of these names below a folder, ignoring case; "" if there is none.

        The last name may be a pattern, so only the folders need to exist.
        """
        path, disk = root, self._disk
        for name in names[:-1]:
            inner = os.path.join(path, name)
            path = inner if disk.is_folder(inner) else disk.alike(path, name)
            if not path:
                return ""
        last = os.path.join(path, names[-1])
        return last if disk.is_there(last) else disk.alike(path, names[-1]) or last

    def _at(self, path: str, source: str, named: NamedFile) -> Found:
        """Return the files at a path.

        Parameters:
            source: the path as the .blend writes it.
        """
        key = path, named.kind, named.is_sequence
        found = self._there.get(key)
        if found is None:
            found = self._there[key] = self._look(path, named)
        return replace(found, source=source)

    def _look(self, path: str, named: NamedFile) -> Found:
        is_folder = self._disk.is_folder(path)
        if is_folder and named.kind != CACHE:
            return Found(refused="it is a folder")
        kind, folder = (CACHE_FOLDER, path) if is_folder else (named.kind, os.path.dirname(path))
        names = frames_in(path, self._disk.names) if is_folder else self._set_of(path, named)
        files, refused = [], ""
        for relative in names[:MOST_OF_A_SET]:
            local = os.path.join(folder, *relative.split("/"))
            try:
                file, why = self._taken(local, relative, kind)
            except OSError as error:
                file, why = None, f"it cannot be read ({error.strerror})"
            if file:
                files.append(file)
            refused = refused or why
        is_left = not files and refused == _LEFT
        return Found(
            tuple(files),
            refused="" if files or is_left else refused,
            is_left=is_left,
            is_set=named.is_sequence or is_folder,
            is_folder=is_folder,
        )

    def _set_of(self, path: str, named: NamedFile) -> list[str]:
        """Return the files that a name stands for: itself, or all of its sequence."""
        folder, name = os.path.split(path)
        # Only the tracer makes such patterns, for frames beside a .blend.
        is_pattern = "*" in name
        found: list[str] = []
        if named.is_sequence and (named.kind == CACHE or not is_pattern):
            start = beginning(name)
            found = [
                each
                for each in (self._disk.names(folder, start) if start is not None else ())
                if is_one_of(each, name) and (is_frame(each) or not is_pattern)
            ]
        return found or ([name] if self._disk.is_there(path) else [])

    def _taken(self, local: str, relative: str, kind: str) -> tuple[FoundFile | None, str]:
        self._disk.spend(_KNOWN)
        if local in self._added:
            return FoundFile(local, local, relative, is_added=True), ""
        judged = self._judged.get((local, kind))
        if judged is None:
            self._disk.spend(_OPENED)
            judged = self._judged[local, kind] = self._judge(local, kind)
        if isinstance(judged, str):
            return None, judged
        real, status = judged
        return FoundFile(local, real, relative, status.st_size, stamp_of_status(status)), ""

    def _judge(self, local: str, kind: str) -> tuple[str, os.stat_result] | str:
        """Return the real path and the status of a file that is taken, or why it is not."""
        status = os.stat(local)
        if not stat.S_ISREG(status.st_mode):
            return "it is not a regular file"
        real = real_path(local)
        is_inside = bool(self._real_root) and Path(real).is_relative_to(self._real_root)
        if not self._policy.takes:
            return _LEFT if is_inside else _NOT_ADDED
        if not is_inside and (refused := self._policy.refuses(real, kind)):
            return refused
        if not is_of_kind(real, kind):
            return f"it is not a valid {kind} file"
        return real, status


def _split(path: str) -> tuple[str, str]:
    system = rules_of(path) or os.path
    folder, name = (ntpath if system is ntpath else os.path).split(path)
    return folder, name


def _joined(folder: str, relative: str) -> str:
    return f"{folder.rstrip('/')}/{relative}" if "/" in folder else f"{folder}\\{relative}"


def _real(path: str) -> str:
    try:
        return real_path(path)
    except OSError:
        return ""
