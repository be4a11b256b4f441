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

Measured is what people look at: the red, green, blue and alpha of the first layer that has them.
Depth is infinite by right. Magenta is a hue here, not a value: under light and a view transform
(1, 0, 1) becomes anything between (0.05, 0, 0.05) and (0.6, 0.2, 0.6).

Everything but `measure` is pure. A frame of 1920x1080 costs `measure` 0.15 s.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from farm.runner.outputs import OutputError

_STEP = 1 / 255
"""One step of 8 bits: what dithering adds to an even colour."""
_NOTHING = _STEP / 2
_MAGENTA_SHARE = 0.05
_OUTLIER_RATIO = 4.0
_VISIBLE = 0.02
"""Mean difference of two signatures that people see, in units of the signature."""

_PLAIN = 0.05
"""The same for a frame that is plainly a picture beside one that is empty."""

_ACROSS, _DOWN = 16, 9
_SAMPLES = 8
"""The signature is a picture of 16x9 cells, each the mean of 8x8 samples."""
_LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue: ITU-R BT.709."""


class FlagCode(StrEnum):
    """What is the matter with a frame. The codes are stable."""

    NON_FINITE = "non_finite"
    EMPTY = "empty"
    ONE_COLOUR = "one_colour"
    MISSING_TEXTURE = "missing_texture"
    OUTLIER = "outlier"


class Certainty(StrEnum):
    """Whether a flag means that the frame is bad, or that somebody should look at it."""

    CERTAIN = "certain"
    HINT = "hint"


@dataclass(frozen=True)
class Flag:
    """Something about one frame. ``sentence`` is for people."""

    frame: int
    code: FlagCode
    certainty: Certainty
    sentence: str


@dataclass(frozen=True)
class Channel:
    """Statistics of one channel, over its finite values.

    Attributes:
        name: ``R``, ``G``, ``B`` or ``A``; another when the image has no colours by these names.
        minimum, maximum, mean, deviation: 0 to 1 in integer formats, unbounded in others.
        nan, infinite: how many values are not finite.
    """

    name: str
    minimum: float
    maximum: float
    mean: float
    deviation: float
    nan: int = 0
    infinite: int = 0


@dataclass(frozen=True)
class ImageStatistics:
    """What is kept of a picture.

    Attributes:
        pixels: how many there are.
        channels: of the picture that people look at.
        magenta: share of pixels with the hue of a missing texture, 0 to 1, of a sample of them.
        signature: 16x9 luminances l, row by row, as l / (1 + l): 0 to 1, however bright.
    """

    pixels: int
    channels: tuple[Channel, ...]
    magenta: float
    signature: tuple[float, ...]

    @property
    def colours(self) -> tuple[Channel, ...]:
        """The channels without alpha."""
        return tuple(each for each in self.channels if each.name != "A")

    @property
    def emptiness(self) -> str | None:
        """``transparent`` or ``black`` when every pixel is; None for a picture."""
        bad = any(each.nan or each.infinite for each in self.channels)
        if bad or any(_magnitude(each) > _NOTHING for each in self.colours):
            return None
        alpha = next((each for each in self.channels if each.name == "A"), None)
        if alpha is not None and _magnitude(alpha) <= _NOTHING:
            return "transparent"
        # Black with a shape in its alpha is a matte or a silhouette.
        return "black" if alpha is None or _is_even(alpha) else None


def flags(frame: int, image: ImageStatistics) -> list[Flag]:
    """Return what one frame tells by itself; nothing for a healthy one."""
    found = []
    nan = sum(each.nan for each in image.channels)
    infinite = sum(each.infinite for each in image.channels)
    if nan or infinite:
        amount = " and ".join(
            f"{count} {word}" for count, word in ((nan, "NaN"), (infinite, "infinite")) if count
        )
        text = f"Frame {frame} is damaged: it has {amount} values among its colours."
        found.append(Flag(frame, FlagCode.NON_FINITE, Certainty.CERTAIN, text))
    elif image.emptiness:
        text = f"Frame {frame} is empty: every pixel is {image.emptiness}. In a fade that is right."
        found.append(Flag(frame, FlagCode.EMPTY, Certainty.HINT, text))
    elif all(_is_even(each) for each in image.channels):
        text = f"Frame {frame} has one colour only: every pixel is the same."
        found.append(Flag(frame, FlagCode.ONE_COLOUR, Certainty.HINT, text))
    if image.magenta >= _MAGENTA_SHARE:
        text = (
            f"Frame {frame} may lack a texture: {image.magenta:.0%} of it are magenta, which is "
            "what a missing one looks like."
        )
        found.append(Flag(frame, FlagCode.MISSING_TEXTURE, Certainty.HINT, text))
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

    def add(self, frame: int, image: ImageStatistics) -> list[Flag]:
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

    def _compare(self, place: int) -> list[Flag]:
        before, image, after = (self._known[place + step] for step in (-1, 0, 1))
        frame = self._order[place]
        names = f"{self._order[place - 1]} and {self._order[place + 1]}"
        apart = difference(before, after)
        least = min(difference(before, image), difference(image, after))
        if least <= max(_VISIBLE, _OUTLIER_RATIO * apart):
            return []
        if not image.emptiness:
            text = f"Frame {frame} looks different from frames {names}, which look alike."
            return [Flag(frame, FlagCode.OUTLIER, Certainty.HINT, text)]
        if least <= _PLAIN or before.emptiness or after.emptiness:
            return []
        text = f"Frame {frame} is empty: every pixel is {image.emptiness}, unlike frames {names}."
        return [Flag(frame, FlagCode.EMPTY, Certainty.CERTAIN, text)]


def measure(path: Path, name: str) -> ImageStatistics:
    """Return the statistics of an image file that `farm.runner.outputs.check_image` has passed.

    Parameters:
        name: how people know the file.

    Raises:
        OutputError: it cannot be read after all.
    """
    # 20 MB of libraries: only when the first frame is there.
    import OpenImageIO as oiio

    image = oiio.ImageBuf(str(path))
    begin, end, names = _seen_channels(image.spec().channelnames)
    # Only these: an EXR may have a hundred channels.
    read = image.read(0, 0, begin, end, True, oiio.TypeDesc("float"))
    # The library keeps files open and remembers headers by name; a retry writes the same name.
    oiio.ImageCache(True).invalidate(str(path), True)
    if not read or image.has_error:
        reason = " ".join(image.geterror().replace(str(path), name).split())
        raise OutputError(f"{name} cannot be measured: {reason}")
    found = oiio.ImageBufAlgo.computePixelStats(image)
    channels = tuple(
        Channel(
            name=each,
            minimum=found.min[index],
            maximum=found.max[index],
            mean=found.avg[index],
            deviation=found.stddev[index],
            nan=found.nancount[index],
            infinite=found.infcount[index],
        )
        for index, each in enumerate(names)
    )
    magenta, signature = _sampled(image, names)
    spec = image.spec()
    return ImageStatistics(spec.width * spec.height, channels, magenta, signature)


def _seen_channels(names: Sequence[str]) -> tuple[int, int, list[str]]:
    """Return first, last + 1 and short names of the channels of the picture that people look at.

    A layered file names them ``ViewLayer.Combined.R`` and the like.
    """
    for begin, name in enumerate(names):
        layer, dot, short = name.rpartition(".")
        if short.upper() == "R":
            members = [layer + dot + letter for letter in "RGBA"]
            end = begin
            while end < len(names) and names[end] in members:
                end += 1
            return begin, end, [each.rpartition(".")[2] for each in names[begin:end]]
    end = min(len(names), 4)
    return 0, end, list(names[:end])


def _sampled(image: Any, names: Sequence[str]) -> tuple[float, tuple[float, ...]]:
    """Return the share of magenta and the signature, from samples: a look at each pixel is slow."""
    roi = image.roi
    has_colour = list(names[:3]) == ["R", "G", "B"]
    sums = [0.0] * (_ACROSS * _DOWN)
    magenta = 0
    columns, rows = _ACROSS * _SAMPLES, _DOWN * _SAMPLES
    for row in range(rows):
        y = roi.ybegin + (2 * row + 1) * roi.height // (2 * rows)
        for column in range(columns):
            x = roi.xbegin + (2 * column + 1) * roi.width // (2 * columns)
            pixel = image.getpixel(x, y)
            if has_colour:
                magenta += _is_magenta(*pixel[:3])
                light = sum(w * v for w, v in zip(_LUMINANCE, pixel[:3], strict=True))
            else:
                light = pixel[0]
            if 0 < light < math.inf:
                sums[row // _SAMPLES * _ACROSS + column // _SAMPLES] += light
    means = (total / _SAMPLES**2 for total in sums)
    return magenta / (columns * rows), tuple(mean / (1 + mean) for mean in means)


def _is_magenta(red: float, green: float, blue: float) -> bool:
    less, more = min(red, blue), max(red, blue)
    return 0.04 < more < math.inf and less >= 0.85 * more and green <= 0.4 * less


def _magnitude(channel: Channel) -> float:
    return max(abs(channel.minimum), abs(channel.maximum))


def _is_even(channel: Channel) -> bool:
    return channel.maximum - channel.minimum <= _STEP * 1.01
