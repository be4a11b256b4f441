"""Which local files a request means, and where each one goes.

This runs while the caller waits, so that a missing file or an unusable name is reported at once.

What is taken of a folder, here and nowhere else:

- Regular files. Not FIFOs, sockets and devices, and nothing of ``/proc``, ``/sys`` and ``/dev``,
  but for ``/dev/shm``.
- Links, to files and to folders, that end inside the project: below one of the local folders that
  the request names. A link that leads back to a folder above it is not followed.
- Everything else is skipped, and named in a message for the status. A file that is named
  individually, however, is wanted: if it cannot be taken, that is an error, with advice.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from farm_protocol.paths import UnsafePathError, canonical
from farm_protocol.real_paths import real_path

from envoy.errors import InvalidRequestError
from envoy.journal import UploadFile, UploadFolder
from envoy.process.local_files import stamp_of_status
from envoy.upload.skipped import Skipped

MOST_ERRORS = 20
MOST_LINKED_FOLDERS = 10_000
"""Limit on folders reached through links, since links between a few folders can form any number of
paths.
"""
MOST_DEPTH = 250
"""Nesting of folders; a remote path has room for so many only if their names are short."""
_NO_PROJECT = () if os.name == "nt" else ("/dev", "/proc", "/sys")
_MEMORY = "/dev/shm/"  # noqa: S108 - where some keep files in memory
_KINDS = {
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Files below one local folder that go below one remote folder.

    Attributes:
        local_root: absolute local folder.
        remote_root: remote folder, with or without its leading slash.
        files: paths relative to ``local_root``, a folder standing for all files in it; None:
            everything in ``local_root``.
        named: those of ``files`` that were named individually; None: all of them.
        folders: relative to ``local_root``; folders whose files were all found and are among
            ``files``.
    """

    local_root: str
    remote_root: str
    files: Sequence[str] | None
    named: frozenset[str] | None = None
    folders: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Scanned:
    """The meaning of a request.

    Attributes:
        folders: those that are sent as a whole.
        skipped: what was found in them but is not sent.
    """

    files: list[UploadFile]
    folders: list[UploadFolder]
    skipped: Skipped


@dataclass(frozen=True, slots=True)
class _Found:
    relative: str
    local: str
    size: int
    root: str
    stamp: str


class _NotTakenError(Exception):
    """A file or folder cannot be taken. ``str()`` says why."""


def scan(groups: Sequence[Group], project: str, where: str, local_root: str = "") -> Scanned:
    """Return the files and folders of all groups, each remote path once (the last group wins).

    Parameters:
        project: first segment that every remote path must have.
        where: name of the groups' field, for error messages.
        local_root: the project's folder, "" when unknown: links may lead there, too.

    Raises:
        InvalidRequestError: names each file that is missing or cannot be taken.
    """
    errors: dict[str, list[str]] = {}
    found: dict[str, UploadFile] = {}
    folders = [group.local_root for group in groups] + [local_root]
    look = _Look(folders=_roots(folders))
    for number, group in enumerate(groups):
        part = f"{where}[{number}]" if len(groups) > 1 else where
        for file in _scan_group(group, project, part, errors, look):
            found[file.remote] = file
            if sum(map(len, errors.values())) >= MOST_ERRORS:
                raise InvalidRequestError(errors)
    if errors:
        raise InvalidRequestError(errors)
    wholes = [UploadFolder(remote, local) for remote, local in look.wholes.items()]
    return Scanned(list(found.values()), wholes, look.skipped)


def _scan_group(
    group: Group, project: str, where: str, errors: dict[str, list[str]], look: "_Look"
) -> Iterator[UploadFile]:
    def refuse(part: str, message: str) -> None:
        messages = errors.setdefault(f"{where}.{part}", [])
        if len(messages) < MOST_ERRORS:
            messages.append(message)

    try:
        remote_root = canonical(group.remote_root.rstrip("/"))
    except UnsafePathError as error:
        refuse("remoteRoot", str(error))
        return
    if remote_root.split("/", 1)[0] != project:
        refuse("remoteRoot", f"'{group.remote_root}' is not inside the project '{project}'.")
        return
    if group.files is not None and not group.files and not group.folders:
        return
    root = Path(group.local_root)
    if not root.is_absolute() or "\0" in group.local_root:
        refuse("localRoot", f"'{group.local_root}' is not an absolute path on this machine.")
        return
    if not os.path.isdir(root):
        refuse("localRoot", f"The folder {root} does not exist.")
        return
    if special := _special(real_path(root)):
        refuse("localRoot", f"{root} cannot be a project: {special} does not hold ordinary files.")
        return
    for name in group.folders:
        try:
            look.take_whole(remote_root, root, _relative(root, name))
        except UnsafePathError as error:
            refuse("folders", f"'{name}': {error}")
    for name in [""] if group.files is None else group.files:
        try:
            for file in look.at(remote_root, root, name):
                remote = canonical(f"{remote_root}/{file.relative}")
                yield UploadFile(remote, file.local, file.size, file.root, file.stamp)
        except _NotTakenError as error:
            if group.named is None or name in group.named:
                refuse("files", str(error))
            else:
                look.skipped.add(str(error))
        except UnsafePathError as error:
            refuse("files", f"'{name}': {error}")
        except FileNotFoundError as error:
            refuse("files", f"The file {error.filename or root / name} does not exist.")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            path = getattr(error, "filename", None) or root / name
            refuse("files", f"The file {path} cannot be read: {reason}.")


@dataclass(slots=True)
class _Look:
    """Scans the disk for one request.

    Attributes:
        folders: the real paths of the project's local folders.
        wholes: folders that are sent as a whole: local paths by remote ones.
    """

    folders: list[str]
    skipped: Skipped = field(default_factory=Skipped)
    wholes: dict[str, str] = field(default_factory=dict)
    _linked: int = 0
    _real: dict[str, str] = field(default_factory=dict)

    def at(self, remote_root: str, root: Path, name: str) -> Iterator[_Found]:
        """Yield a named file, or all files of a named folder, which is noted.

        Raises:
            _NotTakenError: it cannot be taken.
            UnsafePathError: the name is not valid.
            OSError: it does not exist, or cannot be read.
        """
        relative = _relative(root, name)
        # Strings, not Path objects: fifty thousand of those cost more than asking the disk.
        path = os.path.join(root, relative.replace("/", os.sep)) if relative else str(root)
        real, status = self._behind(path)
        home = self._home(path, real)
        if stat.S_ISREG(status.st_mode):
            yield _found(relative, path, status, home)
        elif stat.S_ISDIR(status.st_mode):
            start = f"{relative}/" if relative else ""
            self.take_whole(remote_root, root, relative)
            yield from self._folder(path, start, [real])
        else:
            raise _NotTakenError(f"{path} is {_kind(status)}, neither a file nor a folder.")

    def take_whole(self, remote_root: str, root: Path, relative: str) -> None:
        """Note that a folder is sent as a whole."""
        remote = canonical(f"{remote_root}/{relative}".rstrip("/"))
        self.wholes[remote] = os.path.join(root, relative.replace("/", os.sep))

    def _folder(self, path: str, start: str, parents: list[str]) -> Iterator[_Found]:
        """Yield all files of a folder.

        Parameters:
            start: prefix of their relative paths.
            parents: real paths of this folder and of those above it.
        """
        with os.scandir(path) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        below: list[tuple[str, str]] = []
        for entry in listed:
            try:
                real, status = self._entry(entry, parents)
                home = self._home(entry.path, real)
            except _NotTakenError as error:
                self.skipped.add(str(error))
                continue
            if stat.S_ISREG(status.st_mode):
                yield _found(start + entry.name, entry.path, status, home)
            elif stat.S_ISDIR(status.st_mode):
                below.append((entry.name, real))
            else:
                self.skipped.add(f"{entry.path} was skipped: it is {_kind(status)}.")
        for name, real in below:
            inner = os.path.join(path, name)
            if len(parents) >= MOST_DEPTH:
                self.skipped.add(
                    f"{inner} was skipped: it is nested too deep ({MOST_DEPTH} folders)."
                )
                continue
            yield from self._folder(inner, f"{start}{name}/", [*parents, real])

    def _entry(self, entry: os.DirEntry[str], parents: list[str]) -> tuple[str, os.stat_result]:
        """Return the real path and the kind of a folder's entry."""
        if not entry.is_symlink():
            return os.path.join(parents[-1], entry.name), entry.stat(follow_symlinks=False)
        real = entry.path
        try:
            real = real_path(entry.path)
            status = os.stat(real)
        except OSError as error:
            where = f"{real}, which cannot be read ({error.strerror})"
            if isinstance(error, FileNotFoundError):
                where = f"nothing ({real})"
            raise _NotTakenError(
                f"The link {entry.path} was skipped: it leads to {where}."
            ) from None
        if stat.S_ISDIR(status.st_mode):
            if real in parents:
                raise _NotTakenError(
                    f"The link {entry.path} was skipped: it points back to a folder above it."
                )
            self._linked += 1
            if self._linked > MOST_LINKED_FOLDERS:
                raise _NotTakenError(
                    f"The link {entry.path} was skipped: more than {MOST_LINKED_FOLDERS} folders"
                    " are reached through links."
                )
        return real, status

    def _behind(self, path: str) -> tuple[str, os.stat_result]:
        """Return the real path and the kind of a given path."""
        status = os.lstat(path)
        if not stat.S_ISLNK(status.st_mode):
            # For many files in one folder, the folder is resolved once.
            folder, name = os.path.split(path)
            if folder not in self._real:
                self._real[folder] = real_path(folder)
            return os.path.join(self._real[folder], name), status
        return real_path(path), os.stat(path)

    def _home(self, path: str, real: str) -> str:
        """Return the folder of the project that contains a real path.

        Raises:
            _NotTakenError: there is none.
        """
        if special := _special(real):
            raise _NotTakenError(f"{path} is not uploaded: {special} does not hold ordinary files.")
        for folder in self.folders:
            if real == folder or real.startswith(
                folder if folder[-1] == os.sep else folder + os.sep
            ):
                return folder
        raise _NotTakenError(
            f"{path} leads to {real}, which is outside the project, so it is not uploaded. Add"
            f" its folder as well: add_files('{os.path.dirname(real)}', ...)."
        )


def _found(relative: str, local: str, status: os.stat_result, root: str) -> _Found:
    return _Found(relative, local, status.st_size, root, stamp_of_status(status))


def _roots(folders: Sequence[str]) -> list[str]:
    absolute = [each for each in folders if os.path.isabs(each) and "\0" not in each]
    found: dict[str, None] = {}
    for each in absolute:
        # Those that do not exist are reported when they are scanned.
        with suppress(OSError):
            found[real_path(each)] = None
    return list(found)


def _special(real: str) -> str:
    """Return the system folder that contains a real path; "" for ordinary files."""
    if f"{real}/".startswith(_MEMORY):
        return ""
    return next((each for each in _NO_PROJECT if f"{real}/".startswith(f"{each}/")), "")


def _kind(status: os.stat_result) -> str:
    return _KINDS.get(stat.S_IFMT(status.st_mode), "something special")


def _relative(root: Path, name: str) -> str:
    if not name:
        return ""
    if os.path.isabs(name):
        if not Path(name).is_relative_to(root):
            raise UnsafePathError(f"It is not inside {root}.")
        return Path(name).relative_to(root).as_posix()
    # Judged before the disk is asked: '..' must not even reveal whether something exists.
    clean = name.rstrip("/").removeprefix("./")
    return canonical(clean) if clean not in ("", ".") else ""
