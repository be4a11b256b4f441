"""What the scripts inside renderers have in common. Python 3.7 or newer."""

import os
import re
import shutil

from farm_events import SceneError

FAILED = 3
"""Exit code after the event ``failed``."""

FULL_DISK = "The disk of the render machine is full."
_LOW_DISK_BYTES = 16 * 1024 * 1024


def frames_of(text: str) -> "list[int]":
    """Return the frames of an OpenJD range (``-2,1-9:4``), in its order. Raises SceneError."""
    frames = []  # type: list[int]
    for part in text.split(","):
        match = re.fullmatch(r"(-?\d+)(?:-(-?\d+)(?::(-?\d+))?)?", part)
        if match is None:
            raise SceneError(f"The frame list '{text}' is malformed.")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        frames.extend(range(first, last + (1 if step > 0 else -1), step))
    return frames


def disk_is_full(folder: str) -> bool:
    """Return whether nothing more can be written: that explains most failures to write."""
    return os.path.isdir(folder) and shutil.disk_usage(folder).free < _LOW_DISK_BYTES


def explain(what: str, folder: str) -> str:
    """Return a message about a failure, which ``what`` is without its full stop."""
    return FULL_DISK if disk_is_full(folder) else f"{what}."


def move(source: str, target: str) -> None:
    """Move a finished file to its place, on the same disk: it appears there whole."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.replace(source, target)
