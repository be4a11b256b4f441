"""Names of a job's files, before any of them exists."""

from dataclasses import dataclass
from typing import Self

from farm.products.shared.farm_numbering import numbered, split


@dataclass(frozen=True, slots=True)
class FileNames:
    """The names of a job's files, one for each frame.

    Attributes:
        head, tail: text before and after the frame number.
        digits: minimum digits of the number, without its sign; 0: there is no number, and one file
            for all frames.
    """

    head: str
    digits: int
    tail: str

    @classmethod
    def of(cls, prefix: str, suffix: str = "") -> Self:
        """Return the names produced by `farm_numbering.numbered`, with a suffix."""
        head, hashes, tail = split(prefix)
        return cls(head, len(hashes) or 4, tail + suffix)

    def name(self, frame: int) -> str:
        """Return the name of a frame's file."""
        if not self.digits:
            return self.head
        return f"{self.head}{numbered('#' * self.digits, frame)}{self.tail}"

    def frame(self, name: str) -> int | None:
        """Return the frame whose file has this name; None when there is none."""
        if not (self.digits and name.startswith(self.head) and name.endswith(self.tail)):
            return None
        number = name[len(self.head) : len(name) - len(self.tail)]
        # One frame has one name: 0001 is frame 1 of ####, but 001 and 00001 are not.
        fits = number.removeprefix("-").isdecimal() and number.isascii() and len(number) < 20
        return int(number) if fits and self.name(int(number)) == name else None
