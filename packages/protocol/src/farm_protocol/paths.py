"""Remote paths: the only place that decides which ones are allowed.

A remote path names a file on the farm as ``project/folder/file``: forward slashes, relative, its
first segment the project's name. The published wire also writes it with a leading slash
(``/project/file``); `canonical` takes both and returns the form without it.

Both ends check with these functions: Envoy before it writes a download, the farm before it stores
a manifest or stages a job. Names must be valid on the strictest file system (Windows), since a
project submitted on Linux may be downloaded there.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

MAX_SEGMENT_BYTES = 255
MAX_SEGMENTS = 256
"""Names in a remote path: each one takes time to check."""
MAX_PATH_BYTES = 2000
"""Limit of a remote path. A row of a PostgreSQL index has at most 2,704, including ids beside the
path.
"""

# Control characters are Unicode's Cc. Its Cf is allowed: joiners are part of real names.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\/]')
_RESERVED_STEMS = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"]
)


class UnsafePathError(ValueError):
    """A path or name that cannot be used. ``str()`` is a message that says why."""


def check_segment(segment: str) -> str:
    """Return ``segment`` if it can name a file or folder on every platform.

    Raises:
        UnsafePathError: it is empty, ``.`` or ``..``, too long, ends in a dot or a space, is a
            reserved Windows name, or contains a separator, control or forbidden character.
    """
    if segment in ("", ".", ".."):
        raise UnsafePathError(f"'{segment}' is not a valid file or folder name.")
    try:
        encoded = segment.encode("utf-8")
    except UnicodeEncodeError:
        raise UnsafePathError(f"{segment!r} is not valid Unicode text.") from None
    if len(encoded) > MAX_SEGMENT_BYTES:
        raise UnsafePathError(f"'{segment[:40]}...' is longer than {MAX_SEGMENT_BYTES} bytes.")
    if found := _FORBIDDEN.search(segment):
        if unicodedata.category(found[0]) == "Cc":
            raise UnsafePathError(f"{segment!r} contains a control character.")
        raise UnsafePathError(f"'{segment}' contains the character {found[0]!r}.")
    if segment[-1] in ". ":
        raise UnsafePathError(f"'{segment}' ends with a dot or a space.")
    if segment.split(".", 1)[0].rstrip().casefold() in _RESERVED_STEMS:
        raise UnsafePathError(f"'{segment}' is a reserved name on Windows.")
    return segment


def canonical(remote_path: str) -> str:
    """Return the canonical form of a remote path: no leading slash, every segment checked.

    Raises:
        UnsafePathError: with a message that names the offending part.
    """
    text = remote_path.removeprefix("/")
    if len(text.encode("utf-8", "replace")) > MAX_PATH_BYTES:
        raise UnsafePathError(f"'{text[:60]}...' is longer than {MAX_PATH_BYTES} bytes.")
    segments = text.split("/")
    if len(segments) > MAX_SEGMENTS:
        raise UnsafePathError(f"'{text[:60]}...' is more than {MAX_SEGMENTS} folders deep.")
    for segment in segments:
        check_segment(segment)
    return text


def known(remote_path: str) -> str:
    """Return the canonical form of a path that a farm may have had for long, every segment checked.

    Older farms have stored longer and deeper paths than `canonical` accepts; reading a project's
    files must not fail on them. Raises UnsafePathError.
    """
    text = remote_path.removeprefix("/")
    for segment in text.split("/"):
        check_segment(segment)
    return text


def project_of(remote_path: str) -> str:
    """Return the project's name: the first segment of a remote path."""
    return canonical(remote_path).split("/", 1)[0]


def folders_of(remote_paths: Iterable[str], most: int) -> set[str]:
    """Return every folder in which these canonical paths lie.

    Raises:
        UnsafePathError: their names together have more than ``most`` characters: one path of two
            thousand folders is short, but all its parent paths are not.
    """
    found: set[str] = set()
    size = 0
    for path in remote_paths:
        end = path.rfind("/")
        while end > 0 and (folder := path[:end]) not in found:
            found.add(folder)
            size += end
            if size > most:
                raise UnsafePathError(
                    "The files are in too many folders. Send fewer of them at a time."
                )
            end = path.rfind("/", 0, end)
    return found


def local_target(folder: Path, relative: str) -> Path:
    """Return where ``relative`` lands under ``folder``, refusing any escape.

    Parameters:
        folder: an existing or future folder, below which the result must be.
        relative: a remote-style relative path, for example ``sub/frame_0001.png``.

    Raises:
        UnsafePathError: the path is not canonical, or a symbolic link below ``folder`` leads out
            of it.
    """
    target = folder / PurePosixPath(canonical(relative))
    root = folder.resolve()
    # resolve() follows the links of the existing part; the rest is plain names.
    if not target.parent.resolve().is_relative_to(root):
        raise UnsafePathError(f"'{relative}' leads out of {folder} through a symbolic link.")
    return target
