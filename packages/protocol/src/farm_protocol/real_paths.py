"""Where a path leads, found in a time that whoever made the links on the way cannot choose.

`os.path.realpath` follows any number of links, each of which may have thousands of parts, and
recurses for each: a project's folder could keep a thread busy for half a minute, or make it fail.
"""

import errno
import os
from collections.abc import Callable

MOST_LINKS = 40
"""As many as Linux itself follows: a path over more of them cannot be opened anyway."""
MOST_NAMES = 5_000
"""Limit on folders on the way, those in links included; a path alone has half as many at most."""


def real_path(path: str | os.PathLike[str], passed: Callable[[str], None] | None = None) -> str:
    """Return an absolute path without links; parts that do not exist stay as written.

    Parameters:
        passed: called with each real folder on the way, and with the result.

    Raises:
        OSError: it leads over more than `MOST_LINKS` links or `MOST_NAMES` names, or a name is too
            long for the disk.
    """
    written = os.fspath(path)
    if os.name == "nt":
        # Links need administrator rights there.
        real = os.path.realpath(written)
        if passed is not None:
            folder = written
            while (above := os.path.dirname(folder)) != folder:
                passed(os.path.realpath(folder))
                folder = above
        return real
    rest = os.path.join(os.getcwd(), written).split("/")[::-1]
    real, links, names = "/", 0, 0
    while rest:
        names += 1
        if links > MOST_LINKS or names > MOST_NAMES:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), written)
        name = rest.pop()
        if name in ("", "."):
            continue
        if name == "..":
            # For 'link/..' the system goes to the folder above the link's target.
            real = os.path.dirname(real)
        else:
            inner = os.path.join(real, name)
            target = _target(inner)
            if target is None:
                real = inner
            else:
                links += 1
                rest += target.split("/")[::-1]
                real = "/" if target.startswith("/") else real
        if passed is not None:
            passed(real)
    return real


def _target(path: str) -> str | None:
    """Return a link's target; None if it is not a link, does not exist or cannot be read."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        return None
