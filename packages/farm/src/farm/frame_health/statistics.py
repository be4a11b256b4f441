"""A picture as a few numbers, which `farm.frame_health.looks` judges.

Only the visible picture is measured: the red, green, blue and alpha of the unnamed layer, else of
the one named for the picture ("Combined", "beauty"), else of the first with colours. Depth may well
be infinite. Magenta is a hue here, not a value: under light and a view transform (1, 0, 1) becomes
anything between (0.05, 0, 0.05) and (0.6, 0.2, 0.6).

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
_PICTURE_LAYERS = frozenset(("combined", "rgba", "c", "beauty"))
"""What renderers call the picture itself among their passes, in lower case."""


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
    """Statistics of a picture.

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
        """Whether the image is black or transparent everywhere, or shows something."""
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
    """Return the statistics of a picture as `farm.runner.results.image_check` has decoded it.

    Parameters:
        image: an ``OpenImageIO.ImageBuf`` whose pixels are in memory.

    Returns:
        None for a deep image, whose pixels are lists of samples, and which cannot be shown as it
        is.
    """
    if image.deep:
        return None
    # 20 MB of libraries: only loaded with the first frame.
    import OpenImageIO as oiio

    places, names = _seen_channels(image.spec().channelnames)
    if places != list(range(image.nchannels)):
        # Only these: an EXR may have a hundred channels.
        image = oiio.ImageBufAlgo.channels(image, tuple(places))
    found = oiio.ImageBufAlgo.computePixelStats(image)
    channels = [_channel(each, found, index) for index, each in enumerate(names)]
    spec = image.spec()
    return _statistics(spec, channels, _samples_of(image))


class InGroups:
    """The statistics of an image that is too large to be in memory: some channels at a time."""

    def __init__(self, spec: Any) -> None:
        """Take the ``OpenImageIO.ImageSpec`` of the whole image."""
        self._spec = spec
        self._places, self._names = _seen_channels(spec.channelnames)
        self._channels: dict[int, Channel] = {}
        self._samples: dict[int, list[float]] = {}

    def add(self, image: Any, begin: int) -> None:
        """Take an ``OpenImageIO.ImageBuf`` with the channels from number ``begin`` on."""
        import OpenImageIO as oiio

        seen = [each for each in self._places if begin <= each < begin + image.nchannels]
        if not seen:
            return
        found = oiio.ImageBufAlgo.computePixelStats(image)
        samples = _samples_of(image)
        for place in seen:
            name = self._names[self._places.index(place)]
            self._channels[place] = _channel(name, found, place - begin)
            self._samples[place] = [pixel[place - begin] for pixel in samples]

    def result(self) -> ImageStatistics | None:
        """Return them, once all channels were added."""
        columns = [self._samples[place] for place in self._places]
        channels = [self._channels[place] for place in self._places]
        return _statistics(self._spec, channels, list(zip(*columns, strict=True)))


def _channel(name: str, found: Any, index: int) -> Channel:
    return Channel(
        name=name,
        minimum=found.min[index],
        maximum=found.max[index],
        mean=found.avg[index],
        deviation=found.stddev[index],
        nan=found.nancount[index],
        infinite=found.infcount[index],
    )


def _statistics(
    spec: Any, channels: Sequence[Channel], samples: Sequence[Sequence[float]]
) -> ImageStatistics:
    names = [each.name for each in channels]
    magenta, signature = _sampled(spec, samples, names)
    return ImageStatistics(spec.width * spec.height, tuple(channels), magenta, signature)


def _seen_channels(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return indexes and short names of the channels of the visible picture.

    A layered file names them ``ViewLayer.Combined.R`` and the like: passes, such as
    ``ViewLayer.AO.R``, may precede them. Colours win over a luminance of the same rank.
    """
    layers: dict[str, dict[str, int]] = {}
    for place, name in enumerate(names):
        layer, _, short = name.rpartition(".")
        layers.setdefault(layer, {}).setdefault(short.upper(), place)
    pictures = [
        (_standing(layer), letters == "YA", [each for each in letters if each in found], found)
        for layer, found in layers.items()
        # A Y beside an X belongs to a direction, and is not a luminance.
        for letters in ("RGBA", "YA")
        if letters[0] in found and not (letters == "YA" and "X" in found)
    ]
    if not pictures:
        end = min(len(names), 4)
        return list(range(end)), list(names[:end])
    _, _, shorts, found = min(pictures, key=lambda each: each[:2])
    return [found[each] for each in shorts], shorts


def _standing(layer: str) -> int:
    """Return how likely a layer is the picture itself, 0 the most: EXR's default has no name."""
    if not layer:
        return 0
    return 1 if layer.rpartition(".")[2].lower() in _PICTURE_LAYERS else 2


def _samples_of(image: Any) -> list[tuple[float, ...]]:
    """Return evenly spread pixels, row by row: reading each pixel is slow."""
    roi = image.roi
    columns, rows = _grid(roi)
    return [
        image.getpixel(
            roi.xbegin + (2 * column + 1) * roi.width // (2 * columns),
            roi.ybegin + (2 * row + 1) * roi.height // (2 * rows),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def _sampled(
    spec: Any, samples: Sequence[Sequence[float]], names: Sequence[str]
) -> tuple[float, tuple[float, ...]]:
    """Return the share of magenta and the signature."""
    columns, rows = _grid(spec)
    wide, high = columns // _ACROSS, rows // _DOWN
    has_colour = list(names[:3]) == ["R", "G", "B"]
    sums = [0.0] * (_ACROSS * _DOWN)
    magenta = 0
    for number, pixel in enumerate(samples):
        row, column = divmod(number, columns)
        if has_colour:
            red, green, blue = pixel[:3]
            magenta += _is_magenta(red, green, blue)
            light = sum(w * v for w, v in zip(_LUMINANCE, pixel[:3], strict=True))
        else:
            light = pixel[0]
        if 0 < light < math.inf:
            sums[row // high * _ACROSS + column // wide] += light
    means = (total / (wide * high) for total in sums)
    return magenta / (columns * rows), tuple(mean / (1 + mean) for mean in means)


def _grid(area: Any) -> tuple[int, int]:
    """Return how many columns and rows of samples there are of something with width and height."""
    return _ACROSS * _samples(area.width, _ACROSS), _DOWN * _samples(area.height, _DOWN)


def _samples(pixels: int, cells: int) -> int:
    """Return how many samples a cell has along one side of the image."""
    return max(1, min(_SAMPLES, math.ceil(pixels / cells)))


def _is_magenta(red: float, green: float, blue: float) -> bool:
    less, more = min(red, blue), max(red, blue)
    return 0.04 < more < math.inf and less >= 0.85 * more and green <= 0.4 * less
