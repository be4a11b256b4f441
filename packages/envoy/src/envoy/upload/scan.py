"""Which local files a request means, and where each goes.

Done while the caller waits, so that a missing file or an unusable name is told at once.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm_protocol.paths import UnsafePathError, canonical

from envoy.errors import InvalidRequestError
from envoy.journal import UploadFile

MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Group:
    """Files below one local folder that go below one remote folder.

    Attributes:
        local_root: absolute local folder.
        remote_root: remote folder, with or without its leading slash.
        files: paths relative to ``local_root``, a folder standing for all files in it; None:
            everything in ``local_root``.
    """

    local_root: str
    remote_root: str
    files: Sequence[str] | None


def scan(groups: Sequence[Group], project: str, field: str) -> list[UploadFile]:
    """Return the files of all groups, each remote path once (the last group wins).

    Parameters:
        project: first segment that every remote path must have.
        field: name of the groups' field, for error messages.

    Raises:
        InvalidRequestError: naming each file that is missing or whose path cannot be used.
    """
    errors: dict[str, list[str]] = {}
    found: dict[str, UploadFile] = {}
    for number, group in enumerate(groups):
        where = f"{field}[{number}]" if len(groups) > 1 else field
        for file in _scan_group(group, project, where, errors):
            found[file.remote] = file
            if sum(map(len, errors.values())) >= MOST_ERRORS:
                raise InvalidRequestError(errors)
    if errors:
        raise InvalidRequestError(errors)
    return list(found.values())


def _scan_group(
    group: Group, project: str, where: str, errors: dict[str, list[str]]
) -> Iterator[UploadFile]:
    def refuse(part: str, sentence: str) -> None:
        sentences = errors.setdefault(f"{where}.{part}", [])
        if len(sentences) < MOST_ERRORS:
            sentences.append(sentence)

    try:
        remote_root = canonical(group.remote_root.rstrip("/"))
    except UnsafePathError as error:
        refuse("remoteRoot", str(error))
        return
    if remote_root.split("/", 1)[0] != project:
        refuse("remoteRoot", f"'{group.remote_root}' is not inside the project '{project}'.")
        return
    if group.files is not None and not group.files:
        return
    root = Path(group.local_root)
    if not root.is_absolute():
        refuse("localRoot", f"'{group.local_root}' is not an absolute folder of this machine.")
        return
    if not root.is_dir():
        refuse("localRoot", f"The folder {root} does not exist.")
        return
    for name in [""] if group.files is None else group.files:
        try:
            for relative, local, size in _expand(root, name):
                yield UploadFile(canonical(f"{remote_root}/{relative}"), local, size)
        except UnsafePathError as error:
            refuse("files", f"'{name}': {error}")
        except FileNotFoundError as error:
            refuse("files", f"The file {error.filename or root / name} does not exist.")
        except OSError as error:
            reason = error.strerror or str(error)
            refuse("files", f"The file {error.filename or root / name} cannot be read: {reason}.")


def _expand(root: Path, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield (path relative to root with slashes, local path, size) of a file or whole folder."""
    relative = _relative(root, name)
    # Texts, not Path objects: fifty thousand of those cost more than asking the disk.
    path = os.path.join(root, relative.replace("/", os.sep)) if relative else str(root)
    status = os.stat(path)
    if stat.S_ISREG(status.st_mode):
        yield relative, path, status.st_size
        return
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafePathError("It is neither a file nor a folder.")
    for folder, folders, names in os.walk(path, onerror=_raise):
        folders.sort()
        for child in sorted(names):
            local = os.path.join(folder, child)
            size = os.stat(local).st_size
            yield os.path.relpath(local, root).replace(os.sep, "/"), local, size


def _relative(root: Path, name: str) -> str:
    if not name:
        return ""
    if os.path.isabs(name):
        if not Path(name).is_relative_to(root):
            raise UnsafePathError(f"It is not inside {root}.")
        return Path(name).relative_to(root).as_posix()
    # Judged before the disk is asked: '..' must not even say whether something is there.
    clean = name.rstrip("/").removeprefix("./")
    return canonical(clean) if clean not in ("", ".") else ""


def _raise(error: OSError) -> None:
    raise error
