"""The files that a renderer has written, taken away from it. Nothing in them is read here.

What is in them is looked at by `farm.runner.results.image_check`, in a process of its own.
"""

import stat
from pathlib import Path

from farm_protocol.inside import reach
from farm_protocol.paths import UnsafePathError

IMAGES = frozenset(
    f".{extension}"
    for extension in (
        *("png", "jpg", "jpeg", "exr", "tif", "tiff", "bmp", "tga", "webp", "hdr", "dpx", "cin"),
        *("rgb", "sgi", "iff"),
    )
)
"""Suffixes of the formats whose wholeness can be judged."""


class OutputError(Exception):
    """A result cannot be used. ``str()`` is a message for people."""


def take(output: Path, name: str, target: Path, owner: int | None = None) -> None:
    """Move a file that the renderer has written to where the renderer cannot reach it.

    The renderer may be a scene's program, which still runs, and has no right to what the runner may
    read: it can put a link in the place of any of its files and folders. No link is followed.

    Parameters:
        output: that the renderer writes into, and may have replaced; but not the folder around it,
            which is given as `os.path.realpath` has it.
        name: of a file below it, in canonical form.
        target: on the same disk.
        owner: number of the account that must own the file; None for any. A renderer that is not
            the runner's user could link to a file of somebody else.

    Raises:
        OutputError: there is no such file, or something else in its place.
    """
    try:
        with reach(output.parent, f"{output.name}/{name}") as place:
            place.move_to(target)
    except (UnsafePathError, FileNotFoundError):
        raise OutputError(
            f"{name} is missing although the renderer reported it as written."
        ) from None
    status = target.lstat()
    if not stat.S_ISREG(status.st_mode) or owner not in (None, status.st_uid):
        raise OutputError(f"{name} is not a file: the scene has put something else in its place.")


def is_image(name: str) -> bool:
    """Return whether a file of this name is an image whose wholeness can be judged."""
    return Path(name).suffix.lower() in IMAGES


def check_there(path: Path, name: str) -> None:
    """Raise OutputError when a result is missing or empty; ``name``: how people know it."""
    if not path.is_file() or path.stat().st_size == 0:
        raise OutputError(
            f"{name} is missing or empty although the renderer reported it as written."
        )
