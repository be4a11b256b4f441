"""Image sequences by their usual names: ``frame_####.png``, ``%04d`` or ``$F4``.

Only the standard library: the farm reads a job's path with it, and so do scripts in a sandbox.
"""

import os
import re
from dataclasses import dataclass

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".exr", ".tif", ".tiff", ".dpx", ".tga", ".bmp", ".webp", ".sgi"),
)
"""Formats of the images in a sequence."""

_MARK = re.compile(r"(?P<hashes>#+)|%(?:0(?P<printf>[0-9]+))?d|\$F(?P<houdini>[0-9]*)")
_MOST_DIGITS = 12
_FROM_BEHIND = re.compile(r"([^0-9]*)([0-9]+)")
_NUMBER = re.compile(r"-?[0-9]{1,12}\Z")


class SequenceError(ValueError):
    """A path that does not name an image sequence. ``str()`` says what to write."""


@dataclass(frozen=True)
class ImageSequence:
    """The images of a sequence.

    Attributes:
        folder: their folder; "" or ending in a slash.
        head: the text before the frame number.
        digits: minimum digits of a frame number, without its sign.
        tail: the text after it, including the suffix.
    """

    folder: str
    head: str
    digits: int
    tail: str

    def __str__(self) -> str:
        """Return the path with ``#`` for each digit."""
        return f"{self.folder}{self.head}{'#' * self.digits}{self.tail}"

    @property
    def suffix(self) -> str:
        """The images' suffix in lower case, with its dot."""
        return os.path.splitext(f"0{self.tail}")[1].lower()

    def path(self, frame: int) -> str:
        """Return the path of a frame's image."""
        sign = "-" if frame < 0 else ""
        return f"{self.folder}{self.head}{sign}{abs(frame):0{self.digits}d}{self.tail}"

    def frame(self, path: str) -> "int | None":
        """Return the frame of an image's path; None when it is not part of this sequence."""
        begin, end = self.folder + self.head, self.tail
        if not (path.startswith(begin) and path.endswith(end)):
            return None
        number = path[len(begin) : len(path) - len(end)]
        if not _NUMBER.match(number):
            return None
        # One frame has one name: 0001 is frame 1 of ####, but 001 and 00001 are not.
        return int(number) if self.path(int(number)) == path else None


def marked(path: str) -> str:
    """Return a file's path with ``#`` for the digits of its last number, if it has any."""
    return str(sequence_of(path) or path)


def sequence_of(path: str) -> "ImageSequence | None":
    """Return the sequence of which a file is one image, by the last number of its name.

    None when it has no number. Whether these are images is not looked at.
    """
    folder, slash, name = path.rpartition("/")
    # From the end: a regular expression for the last number would try to start at each digit.
    if not (found := _FROM_BEHIND.match(name[::-1])):
        return None
    tail, digits = len(found[1]), len(found[2])
    head = name[: len(name) - tail - digits]
    return ImageSequence(folder + slash, head, digits, name[len(name) - tail :])


def parse_sequence(path: str) -> ImageSequence:
    """Return the sequence that a path with forward slashes names; its last mark is the number.

    ``####`` stands for at least as many digits, as ``%04d`` and ``$F4`` do; ``%d`` and ``$F`` for
    numbers without leading zeros.

    Raises:
        SequenceError: there is no mark, or these are not images.
    """
    folder, slash, name = path.rpartition("/")
    marks = list(_MARK.finditer(name))
    if not marks:
        shown = marked(name)
        hint = shown if "#" in shown else "frame_####.png"
        raise SequenceError(
            f"'{path}' does not name an image sequence. Write '#' where the digits of the"
            f" frame number stand, as in '{hint}'."
        )
    mark = marks[-1]
    digits = len(mark["hashes"] or "") or int(mark["printf"] or mark["houdini"] or 1) or 1
    if digits > _MOST_DIGITS:
        raise SequenceError(f"'{path}' has a frame number of more than {_MOST_DIGITS} digits.")
    head, tail = name[: mark.start()], name[mark.end() :]
    found = ImageSequence(folder + slash, head, digits, tail)
    if found.suffix not in SUFFIXES:
        raise SequenceError(
            f"'{path}' is not an image sequence: its name must end in one of {', '.join(SUFFIXES)}."
        )
    return found
