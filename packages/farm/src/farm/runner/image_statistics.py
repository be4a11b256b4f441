"""A picture as a few numbers, which `farm.runner.health` judges.

Measured is what people look at: the red, green, blue and alpha of the first layer that has them.
Depth is infinite by right. Magenta is a hue here, not a value: under light and a view transform
(1, 0, 1) becomes anything between (0.05, 0, 0.05) and (0.6, 0.2, 0.6).

A frame of 1920x1080 takes about 0.07 s, one of 64x36 pixels 0.006 s.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from farm_protocol.frames import SIGNATURE_ACROSS, SIGNATURE_DOWN, Emptiness

_STEP = 1 / 255
_ACROSS, _DOWN = SIGNATURE_ACROSS, SIGNATURE_DOWN
_SAMPLES = 8
"""The signature is a picture of 16x9 cells, each the mean of 8x8 samples; of fewer in an image
that has not as many pixels."""
_LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue: ITU-R BT.709."""


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

    @property
    def is_even(self) -> bool:
        """Whether all values are the same, within one step of 8 bits: dithering adds that."""
        return self.maximum - self.minimum <= _STEP * 1.01

    @property
    def is_zero(self) -> bool:
        """Whether all values are 0, as far as 8 bits can tell; dithering lifts some by a step."""
        peak = max(abs(self.minimum), abs(self.maximum))
        return peak <= _STEP * 1.01 and abs(self.mean) < _STEP / 2


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
    def emptiness(self) -> Emptiness:
        """Whether there is nothing to see."""
        bad = any(each.nan or each.infinite for each in self.channels)
        if bad or not all(each.is_zero for each in self.colours):
            return Emptiness.PICTURE
        alpha = next((each for each in self.channels if each.name == "A"), None)
        if alpha is not None and alpha.is_zero:
            return Emptiness.TRANSPARENT
        # Black with a shape in its alpha is a matte or a silhouette.
        is_black = alpha is None or alpha.is_even
        return Emptiness.BLACK if is_black else Emptiness.PICTURE


def measure(image: Any) -> ImageStatistics | None:
    """Return the statistics of a picture as `farm.runner.outputs.check_image` has decoded it.

    Parameters:
        image: an ``OpenImageIO.ImageBuf`` whose pixels are in memory.

    Returns:
        None for a deep image, whose pixels are lists of samples: nobody looks at one as it is.
    """
    if image.deep:
        return None
    # 20 MB of libraries: only when the first frame is there.
    import OpenImageIO as oiio

    begin, end, names = _seen_channels(image.spec().channelnames)
    if (begin, end) != (0, image.nchannels):
        # Only these: an EXR may have a hundred channels.
        image = oiio.ImageBufAlgo.channels(image, tuple(range(begin, end)))
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
    wide, high = _samples(roi.width, _ACROSS), _samples(roi.height, _DOWN)
    columns, rows = _ACROSS * wide, _DOWN * high
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
                sums[row // high * _ACROSS + column // wide] += light
    means = (total / (wide * high) for total in sums)
    return magenta / (columns * rows), tuple(mean / (1 + mean) for mean in means)


def _samples(pixels: int, cells: int) -> int:
    """Return how many samples a cell has along one side of the image."""
    return max(1, min(_SAMPLES, math.ceil(pixels / cells)))


def _is_magenta(red: float, green: float, blue: float) -> bool:
    less, more = min(red, blue), max(red, blue)
    return 0.04 < more < math.inf and less >= 0.85 * more and green <= 0.4 * less
