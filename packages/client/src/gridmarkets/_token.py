"""The token that a strict Envoy asks for: given, in ``ENVOY_TOKEN``, or in Envoy's data folder.

The file is ``token`` in the folder of ``ENVOY_DATA_DIR``, or in the one where Envoy keeps its data
by default. It is used only when it is the caller's own and nobody else may read it, as Envoy makes
it. The lookup is repeated for each request: Envoy may be started after the script.
"""

from __future__ import unicode_literals

import os
import re
import stat
import sys

from gridmarkets import errors
from gridmarkets._compat import is_text, to_text

VARIABLE = "ENVOY_TOKEN"
_MOST_BYTES = 1024
_OTHERS = 0o077
# Characters that a header can carry.
_TOKEN = re.compile("[!-~]{1,200}$")


class Shown(object):
    """What a request shows.

    Attributes:
        token (text): "" when there is none.
        source (text): a message about where it comes from, or why a file was not used; may be "".
    """

    def __init__(self, token, source=""):
        self.token = token
        self.source = source


def find(given):
    """Return the `Shown` of a client that was given a token, or None.

    Raises:
        APIError: the given token, or the one in the variable, is not valid.
    """
    if given is not None:
        return _checked(given, "The token that this client was given")
    if os.environ.get(VARIABLE, "").strip():
        return _checked(os.environ[VARIABLE], "The token in the variable " + VARIABLE)
    folder = _data_folder()
    return _in_file(os.path.join(folder, str("token"))) if folder else Shown("")


def _checked(value, what):
    token = to_text(value).strip() if is_text(value) or isinstance(value, bytes) else ""
    if not _TOKEN.match(token):
        raise errors.APIError(
            "{0} cannot be used: a token is one line of ASCII characters without spaces.".format(
                what
            )
        )
    return Shown(token, "{0} was sent.".format(what))


def _in_file(path):
    # Open without blocking: a FIFO here must not hang the script.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags)
    except (IOError, OSError):
        return Shown("")
    try:
        fault = _fault(os.fstat(descriptor))
        content = b"" if fault else os.read(descriptor, _MOST_BYTES)
    except (IOError, OSError):
        return Shown("")
    finally:
        os.close(descriptor)
    token = content.decode("utf-8", "replace").strip()
    if not fault and not _TOKEN.match(token):
        fault = "it holds no token"
    if fault:
        message = "The token file {0} was not used: {1}. Remove it, and start Envoy again."
        return Shown("", message.format(to_text(path), fault))
    return Shown(token, "The token in the file {0} was sent.".format(to_text(path)))


def _fault(status):
    """Return why others may know a file's content, or ""."""
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if not hasattr(os, "geteuid"):
        return ""  # Windows has no modes: the access list of the user's folder protects it.
    if status.st_uid != os.geteuid():
        return "it belongs to another user"
    if status.st_mode & _OTHERS:
        return "other users may read it"
    return ""


def _data_folder():
    """Return where Envoy keeps its data, as the environment has its text, or None."""
    environment = os.environ
    named = environment.get("ENVOY_DATA_DIR")
    if named:
        return named
    if sys.platform == "win32":
        base = environment.get("LOCALAPPDATA")
    else:
        base = environment.get("XDG_DATA_HOME", "")
        if not base.startswith("/"):
            mac = sys.platform == "darwin"
            usual = "Library/Application Support" if mac else ".local/share"
            # As str: Python 2 cannot join names that are not ASCII with its unicode.
            base = os.path.join(os.path.expanduser(str("~")), str(usual))
    return os.path.join(base, str("envoy")) if base else None
