"""Where a path leads, found out in a time that whoever made the links on the way cannot choose.

`os.path.realpath` follows any number of links, each of which may have thousands of parts, and calls
itself for each: a project's folder could keep a thread busy for half a minute, or make it fail.
"""

import errno
import os
from collections.abc import Callable

MOST_LINKS = 40
"""As many as Linux follows itself: whatever leads over more of them cannot be opened either."""
MOST_NAMES = 5_000
"""Of folders on the way, those in links included: a path alone has half as many at most."""


def real_path(path: str | os.PathLike[str], passed: Callable[[str], None] | None = None) -> str:
    """Return an absolute path without links; what is not there stays as it is written.

    Parameters:
        passed: called with each real folder on the way, and with the result.

    Raises:
        OSError: it leads over more than `MOST_LINKS` links or `MOST_NAMES` names, or a name is too
            long for the disk.
    """
    written = os.fspath(path)
    if os.name == "nt":
        # Links need an administrator's right there.
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
            # Of 'link/..' the system makes the folder above that which the link leads to.
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
    """Return what a link says; None of what is none, is not there or cannot be looked at."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        return None
