"""Does a frame look like a picture? A renderer that lacks half a scene still ends with 0.

=================  ====================================================  =========
Code               When                                                  Certainty
=================  ====================================================  =========
non_finite         a colour or alpha value is NaN or infinite            certain
empty              every pixel is transparent, or every pixel is black   hint
empty              ... while the frames before and after are plainly     certain
                   pictures, and alike
one_colour         all pixels are the same, within a step of 8 bits      hint
missing_texture    5 % of the pixels are magenta like a missing texture  hint
outlier            the frame differs from both of its neighbours by 4    hint
                   times as much as these differ, and visibly
=================  ====================================================  =========

A hint is for people to look at. Shots begin and end in black, an object may be out of sight, a
flash may be meant: nothing should fail or be rendered again for a hint. What is certain is no
picture that anybody wants. Black frames in a row are a fade or a pause, and one between two dark
frames is a dip to black: these stay hints.
"""

import math
from collections.abc import Sequence

from farm_protocol.frames import Certainty, FlagCode, FrameFlag

from farm.runner.image_statistics import ImageStatistics

_MAGENTA_SHARE = 0.05
_OUTLIER_RATIO = 4.0
_VISIBLE = 0.02
"""Mean difference of two signatures that people see, in units of the signature."""

_PLAIN = 0.05
"""The same for a frame that is plainly a picture beside one that is empty."""


def flags(frame: int, image: ImageStatistics) -> list[FrameFlag]:
    """Return what one frame tells by itself; nothing for a healthy one."""
    found = []
    nan = sum(each.nan for each in image.channels)
    infinite = sum(each.infinite for each in image.channels)
    if nan or infinite:
        amount = " and ".join(
            f"{count} {word}" for count, word in ((nan, "NaN"), (infinite, "infinite")) if count
        )
        text = f"Frame {frame} is damaged: it has {amount} values among its colours."
        found.append(_flag(frame, FlagCode.NON_FINITE, Certainty.CERTAIN, text))
    elif image.emptiness:
        text = f"Frame {frame} is empty: every pixel is {image.emptiness}. In a fade that is right."
        found.append(_flag(frame, FlagCode.EMPTY, Certainty.HINT, text))
    elif all(each.is_even for each in image.channels):
        text = f"Frame {frame} has one colour only: every pixel is the same."
        found.append(_flag(frame, FlagCode.ONE_COLOUR, Certainty.HINT, text))
    if image.magenta >= _MAGENTA_SHARE:
        text = (
            f"Frame {frame} may lack a texture: {image.magenta:.0%} of it are magenta, which is "
            "what a missing one looks like."
        )
        found.append(_flag(frame, FlagCode.MISSING_TEXTURE, Certainty.HINT, text))
    return found


def difference(one: ImageStatistics, other: ImageStatistics) -> float:
    """Return how much two frames differ: 0 to 1, the mean over the cells of their signatures."""
    pairs = zip(one.signature, other.signature, strict=True)
    return math.fsum(abs(a - b) for a, b in pairs) / len(one.signature)


class Neighbours:
    """Compares each frame of a job with those before and after it, once all three are known.

    Frames may come in any order. Statistics are forgotten when no comparison needs them any more.
    """

    def __init__(self, frames: Sequence[int]) -> None:
        """Compare within ``frames``: all that are rendered, in any order, each once."""
        self._order = sorted(frames)
        self._place = {frame: place for place, frame in enumerate(self._order)}
        self._known: dict[int, ImageStatistics] = {}
        self._seen: set[int] = set()

    def add(self, frame: int, image: ImageStatistics) -> list[FrameFlag]:
        """Tell about a frame, and return what is known by it now, of it or of its neighbours.

        A certain flag replaces the hint of the same frame and code that `flags` gave.

        Raises:
            KeyError: the frame is none of those that are compared.
        """
        place = self._place[frame]
        self._known[place] = image
        self._seen.add(place)
        found = []
        for middle in range(max(place - 1, 1), min(place + 2, len(self._order) - 1)):
            if self._known.keys() >= set(range(middle - 1, middle + 2)):
                found += self._compare(middle)
        for old in range(max(place - 2, 0), min(place + 3, len(self._order))):
            around = range(max(old - 2, 0), min(old + 3, len(self._order)))
            if self._seen.issuperset(around):
                self._known.pop(old, None)
        return found

    def _compare(self, place: int) -> list[FrameFlag]:
        before, image, after = (self._known[place + step] for step in (-1, 0, 1))
        frame = self._order[place]
        names = f"{self._order[place - 1]} and {self._order[place + 1]}"
        apart = difference(before, after)
        least = min(difference(before, image), difference(image, after))
        if least <= max(_VISIBLE, _OUTLIER_RATIO * apart):
            return []
        if not image.emptiness:
            text = f"Frame {frame} looks different from frames {names}, which look alike."
            return [_flag(frame, FlagCode.OUTLIER, Certainty.HINT, text)]
        if least <= _PLAIN or before.emptiness or after.emptiness:
            return []
        text = f"Frame {frame} is empty: every pixel is {image.emptiness}, unlike frames {names}."
        return [_flag(frame, FlagCode.EMPTY, Certainty.CERTAIN, text)]


def _flag(frame: int, code: FlagCode, certainty: Certainty, sentence: str) -> FrameFlag:
    return FrameFlag(frame=frame, code=code, certainty=certainty, sentence=sentence)
