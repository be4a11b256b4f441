"""Common parts of the scripts inside renderers. Python 3.7 or newer."""

import os
import re
import shutil
import unicodedata

from farm_events import SceneError

FAILED = 3
"""Exit code after the event ``failed``."""

FULL_DISK = "The disk of the render machine is full."
# Windows reserves these device names in every folder and with every extension.
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|(com|lpt)[0-9\xb9\xb2\xb3])(\.|$)")
_LONGEST_NAME = 60
"""Limit in characters, of four bytes each at most, so that a number can still be appended."""
_SHOWN = 10
"""Most names that one message lists."""
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


def distinct_names(texts: "list[str]", otherwise: str) -> "list[str]":
    """Return a distinct name for each text that is a valid folder name on every system.

    Parameters:
        otherwise: the name for a text without any valid character.
    """
    names = [re.sub(r"[^\w.-]+", "_", text).strip("._")[:_LONGEST_NAME] for text in texts]
    names = [name.strip("._") or otherwise for name in names]
    return distinct([f"{otherwise}_{name}" if _DEVICE.match(name) else name for name in names])


def distinct(names: "list[str]") -> "list[str]":
    """Return the names, with a number appended where another one is equal: ``AOV``, ``AOV_2``.

    Equal on some system: case does not count, nor does Unicode composition.
    """
    taken = set()  # type: set[str]
    found = []
    for name in names:
        free, number = name, 1
        while _folded(free) in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(_folded(free))
        found.append(free)
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def listed(names: "list[str]") -> str:
    """Return names for people: the first ones, and the number of others."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def disk_is_full(folder: str) -> bool:
    """Return whether the disk is full: that explains most failures to write."""
    return os.path.isdir(folder) and shutil.disk_usage(folder).free < _LOW_DISK_BYTES


def explain(what: str, folder: str) -> str:
    """Return a message about a failure; ``what`` is the message without its full stop."""
    return FULL_DISK if disk_is_full(folder) else f"{what}."


def move(source: str, target: str) -> None:
    """Move a finished file to its place, on the same disk: it appears there atomically."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.replace(source, target)
