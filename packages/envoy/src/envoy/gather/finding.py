"""The files on this machine that a path in a .blend stands for."""

import ntpath
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from farm_protocol.file_sets import is_one_of
from farm_protocol.real_paths import real_path
from farm_protocol.scene_files import NamedFile

from envoy.gather.caches import frames_in, is_frame
from envoy.gather.kinds import CACHE, CACHE_FOLDER, is_of_kind
from envoy.gather.named import absolute, ends, rules_of
from envoy.gather.policy import Policy

MOST_OF_A_SET = 100_000
_OWN_CACHE = "//blendcache_"
"""Where Blender keeps the caches of a .blend on the disk. No path in it names them; they can be as
large as they are old, so whoever adds a .blend adds them, or bakes anew."""
_LEFT, _NOT_ADDED = "left", "nobody has added it"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file.

    Attributes:
        local: absolute path.
        real: where that led when it was judged; of one that is added anyway, as `local`.
        relative: below `folder`, with slashes.
        source: as the .blend names it, if alone: an absolute path of any system.
        size: in bytes; of one that is added anyway, 0.
        is_added: somebody has added it.
    """

    local: str
    real: str
    relative: str
    source: str
    size: int = 0
    is_added: bool = False

    @property
    def folder(self) -> str:
        """The folder that was named, or that of the file that was."""
        folder = os.path.dirname(self.local)
        for _ in range(self.relative.count("/")):
            folder = os.path.dirname(folder)
        return folder


@dataclass(frozen=True, slots=True)
class Found:
    """What a path stands for.

    Attributes:
        files: empty: there is none, or none that is taken.
        refused: why none is taken; "" when there is none.
        is_elsewhere: not where the path says.
        is_left: it lies in the project's folder, and is left out because nobody has added it.
    """

    files: tuple[FoundFile, ...] = ()
    refused: str = ""
    is_elsewhere: bool = False
    is_left: bool = False


class Finder:
    """Looks for files, and decides whether they are taken."""

    def __init__(self, policy: Policy, added: Collection[str], root: str) -> None:
        """Prepare.

        Parameters:
            added: local paths of what is sent anyway.
            root: the project's folder; "" when not known.
        """
        self._policy, self._added, self._root = policy, added, root
        self._real_root = _real(root) if root else ""
        self._by_name: dict[str, list[str]] = {}
        for path in added:
            self._by_name.setdefault(os.path.basename(path).casefold(), []).append(path)

    def find(self, named: NamedFile, blend: str) -> Found:
        """Return the files that a path in a .blend stands for.

        Parameters:
            blend: local path of the .blend.
        """
        if blend in self._added and named.path.startswith(_OWN_CACHE):
            return Found(is_left=True)
        path = absolute(named.path, blend)
        if path:
            refused = self._policy.refuses_path(path)
            found = Found(refused=refused) if refused else self._at(path, path, named)
            if found.files or named.path.startswith("//"):
                return found
        elif rules_of(named.path) is None:
            return Found()
        else:
            found = Found()
        # Made on another machine, where the project may have lain elsewhere.
        for other in self._elsewhere(named.path, blend):
            there = self._at(other, named.path, named)
            if there.files:
                return Found(there.files, is_elsewhere=True)
        return found

    def _elsewhere(self, path: str, blend: str) -> Iterator[str]:
        roots = dict.fromkeys(each for each in (self._root, os.path.dirname(blend)) if each)
        for root in roots:
            for end in ends(path, root):
                if found := _below(root, end):
                    yield found
        same = self._by_name.get(_split(path)[1].casefold(), ())
        if len(same) == 1:
            yield same[0]

    def _at(self, path: str, source: str, named: NamedFile) -> Found:
        """Return the files at a path.

        Parameters:
            source: what the .blend calls it.
        """
        kind, is_folder = named.kind, os.path.isdir(path)
        if is_folder and kind != CACHE:
            return Found(refused="it is a folder")
        if is_folder:
            kind, folder = CACHE_FOLDER, source
            frames = frames_in(path, _names_in)[:MOST_OF_A_SET]
            listed = {os.path.join(path, *each.split("/")): each for each in frames}
        else:
            folder, _ = _split(source)
            listed = {each: os.path.basename(each) for each in _set_of(path, named)}
        is_set = named.is_sequence or is_folder
        files, refused = [], ""
        for local, relative in listed.items():
            try:
                own = _joined(folder, relative) if is_set else source
                file, why = self._taken(local, relative, own, kind)
            except OSError as error:
                file, why = None, f"it cannot be read ({error.strerror})"
            if file:
                files.append(file)
            refused = refused or why
        if files or refused == _LEFT:
            return Found(tuple(files), is_left=not files)
        return Found(refused=refused)

    def _taken(
        self, local: str, relative: str, source: str, kind: str
    ) -> tuple[FoundFile | None, str]:
        if local in self._added:
            return FoundFile(local, local, relative, source, is_added=True), ""
        status = os.stat(local)
        if not stat.S_ISREG(status.st_mode):
            return None, "it is no regular file"
        real = real_path(local)
        is_inside = bool(self._real_root) and Path(real).is_relative_to(self._real_root)
        if not self._policy.takes:
            return None, _LEFT if is_inside else _NOT_ADDED
        if not is_inside and (refused := self._policy.refuses(real, kind)):
            return None, refused
        if not is_of_kind(real, kind):
            return None, f"it is not a valid {kind} file"
        return FoundFile(local, real, relative, source, status.st_size), ""


def _split(path: str) -> tuple[str, str]:
    system = rules_of(path) or os.path
    folder, name = (ntpath if system is ntpath else os.path).split(path)
    return folder, name


def _joined(folder: str, relative: str) -> str:
    return f"{folder.rstrip('/')}/{relative}" if "/" in folder else f"{folder}\\{relative}"


def _set_of(path: str, named: NamedFile) -> list[str]:
    """Return the files that a name stands for: itself, or all of its sequence."""
    folder, name = os.path.split(path)
    # Only the tracer makes such patterns, for frames that lie beside a .blend.
    is_pattern = "*" in name
    if not named.is_sequence or (is_pattern and named.kind != CACHE):
        return [path] if os.path.lexists(path) else []
    found = [
        os.path.join(folder, each)
        for each in _names_in(folder)
        if is_one_of(each, name) and (is_frame(each) or not is_pattern)
    ]
    return found[:MOST_OF_A_SET] or ([path] if os.path.lexists(path) else [])


def _names_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(each.name for each in entries)
    except OSError:
        return []


def _below(root: str, names: tuple[str, ...]) -> str:
    """Return the path of these names below a folder, whatever their case; "" if it is not there.

    The last one may be a pattern, so only the folders need to be there.
    """
    path = root
    for name in names[:-1]:
        inner = os.path.join(path, name)
        path = inner if os.path.isdir(inner) else _alike(path, name)
        if not path:
            return ""
    last = os.path.join(path, names[-1])
    return last if os.path.lexists(last) else _alike(path, names[-1]) or last


def _alike(folder: str, name: str) -> str:
    try:
        with os.scandir(folder) as entries:
            wanted = name.casefold()
            return next((each.path for each in entries if each.name.casefold() == wanted), "")
    except OSError:
        return ""


def _real(path: str) -> str:
    try:
        return real_path(path)
    except OSError:
        return ""
