"""Takes files away from a renderer. Their content is not read here.

`farm.runner.results.image_check` checks their content, in a separate process.
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
"""Suffixes of the formats that can be checked for completeness."""


class OutputError(Exception):
    """A result cannot be used. ``str()`` is a message for people."""


def take(output: Path, name: str, target: Path, owner: int | None = None) -> None:
    """Move a file of the renderer to where the renderer cannot reach it.

    The renderer may be a scene's program that still runs and must not get what the runner may read:
    it can replace any of its files and folders by a link. No link is followed.

    Parameters:
        output: the folder that the renderer writes into, and may have replaced; its parent, which
            it cannot replace, is given as from `os.path.realpath`.
        name: name of a file below it, in canonical form.
        target: on the same disk.
        owner: user id that must own the file; None for any. A renderer under another account than
            the runner's could hard-link somebody else's file.

    Raises:
        OutputError: there is no such file, or it is something else.
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
    """Return whether a file of this name is an image that can be checked for completeness."""
    return Path(name).suffix.lower() in IMAGES


def check_there(path: Path, name: str) -> None:
    """Raise OutputError when a result is missing or empty; ``name`` is for people."""
    if not path.is_file() or path.stat().st_size == 0:
        raise OutputError(
            f"{name} is missing or empty although the renderer reported it as written."
        )
