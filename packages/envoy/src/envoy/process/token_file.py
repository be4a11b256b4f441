"""The token of the strict mode, and the file that shows it only to Envoy's own user.

Whoever can read the file may use Envoy. It is created by the first strict start and survives
restarts; after it is removed, the next start writes a new one.

On disk: ``token`` in the data folder, mode 0600: one line of 20 to 200 printable ASCII characters.
The client library reads it, too (`gridmarkets._token`), by the same rules.
"""

import os
import re
import secrets
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from farm_protocol.private import replace_private

from envoy.errors import TokenFileError

_TOKEN = re.compile(r"[!-~]{20,200}")
_MOST_BYTES = 1024
_OTHERS = 0o077
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True, slots=True)
class Token:
    """The token that requests must carry, and where those who may know it can find it."""

    value: str = field(repr=False)
    path: Path


def kept(path: Path) -> Token:
    """Return the token of a file, which is created if it does not exist.

    Raises:
        TokenFileError: the file exists and cannot be used, or cannot be created.
    """
    value = read(path)
    if not value:
        value = secrets.token_urlsafe(32)
        try:
            replace_private(path, f"{value}\n".encode())
        except OSError as error:
            raise TokenFileError(
                f"The token file {path} cannot be written ({error.strerror or error})."
            ) from error
    return Token(value, path)


def read(path: Path) -> str:
    """Return the token of a file, or "" where there is no file.

    Raises:
        TokenFileError: it is not private to this user, or contains no token.
    """
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            fault = _fault(os.fstat(descriptor))
            content = b"" if fault else os.read(descriptor, _MOST_BYTES)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    value = content.decode("ascii", "replace").strip()
    if not fault and not _TOKEN.fullmatch(value):
        fault = "it holds no token"
    if fault:
        raise _unusable(path, fault)
    return value


def _fault(status: os.stat_result) -> str:
    """Return why others may know a file's content, or ""."""
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if sys.platform == "win32":
        return ""  # There are no modes: the folder's access list protects it.
    if status.st_uid != os.geteuid():
        return "it belongs to another user"
    if status.st_mode & _OTHERS:
        return f"other users may read it, its mode is {stat.S_IMODE(status.st_mode):04o}"
    return ""


def _unusable(path: Path, why: str) -> TokenFileError:
    return TokenFileError(
        f"The token file {path} cannot be used: {why}. Remove it, and start Envoy again,"
        " which makes a new one."
    )
