"""Texts that are burnt into a film: drawn as images, which FFmpeg lays over the film's own.

FFmpeg never reads the texts: in its filters, some characters of them would mean something.
"""

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from farm_events import SceneError

FOLDER = "burnt"
"""Of the images, in the folder in which FFmpeg runs."""
_FONT = "DroidSans"
"""It comes with OpenImageIO."""
_ROWS = 28
"""Rows of text that would fill a film."""
_SMALLEST = 8
"""Height of a text in pixels below which it is cut off instead."""
_BEHIND = (0.0, 0.0, 0.0, 0.5)
_WHITE = (1.0, 1.0, 1.0, 1.0)
_OVERLAYS = {"yuv420p": "yuv420", "yuv422p10le": "yuv422p10"}
"""Pixel format of a film -> the overlay filter's name for what it works in."""
_MORE = "..."


@dataclass(frozen=True)
class Layer:
    """Images that lie on the film's own.

    Attributes:
        inputs: FFmpeg's arguments for them.
        place: the overlay filter's, of their upper left corner.
    """

    inputs: "tuple[str, ...]"
    place: str


@dataclass(frozen=True)
class Burnt:
    """What is burnt into a film.

    Attributes:
        text: above; "" for none.
        frame: the number of each frame, below on the right.
        timecode: of each frame, below on the left.
    """

    text: str
    frame: bool
    timecode: bool

    def __bool__(self) -> bool:
        """Return whether it is anything."""
        return bool(self.text or self.frame or self.timecode)

    def draw(
        self, partial: str, frames: "list[int]", rate: Fraction, size: "tuple[int, int]"
    ) -> "list[Layer]":
        """Draw the images of a film; return them in the order in which they lie on it.

        Parameters:
            partial: the folder in which FFmpeg runs.
            frames: of the film.
            rate: frames a second.
            size: of the film, in pixels.
        """
        layers = []
        if self.text:
            path = _folder(partial, "above") + "/text.png"
            _draw(os.path.join(partial, path), size, self.text, "")
            layers.append(Layer(("-i", path), "0:0"))
        if self.frame or self.timecode:
            folder = _folder(partial, "below")
            for number, frame in enumerate(frames):
                path = os.path.join(partial, folder, f"{number:08d}.png")
                left = timecode(frame, rate) if self.timecode else ""
                _draw(path, size, left, str(frame) if self.frame else "")
            read = ("-f", "image2", "-pattern_type", "sequence", "-start_number", "0")
            inputs = (*read, "-framerate", str(rate), "-i", f"{folder}/%08d.png")
            layers.append(Layer(inputs, "0:main_h-overlay_h"))
        return layers


def check(pixels: str) -> None:
    """Refuse films of a pixel format on which nothing can lie. Raises SceneError."""
    if pixels not in _OVERLAYS:
        raise SceneError(
            "Nothing can be burnt into ProRes 4444. Choose another codec, or a quality of 1 to 4."
        )


def graph(film: str, pixels: str, layers: "list[Layer]", first: int) -> str:
    """Return FFmpeg's filters for a film with layers on it; their output is called ``film``.

    Parameters:
        film: filters of the film without them.
        pixels: its pixel format.
        first: number of the first layer among FFmpeg's inputs.
    """
    parts = [f"[0:v]{film}[film0]"]
    for number, layer in enumerate(layers):
        over = f"[film{number}][{first + number}:v]overlay={layer.place}:format={_OVERLAYS[pixels]}"
        parts.append(f"{over}[film{number + 1}]")
    return ";".join(parts)


def timecode(frame: int, rate: Fraction) -> str:
    """Return a frame's timecode, in whole frames, without drop: frame 0 is 00:00:00:00."""
    nominal = math.ceil(rate)
    seconds, rest = divmod(abs(frame), nominal)
    minutes, hours = seconds // 60, seconds // 3600
    digits = max(2, len(str(nominal - 1)))
    sign = "-" if frame < 0 else ""
    return f"{sign}{hours:02d}:{minutes % 60:02d}:{seconds % 60:02d}:{rest:0{digits}d}"


def _folder(partial: str, name: str) -> str:
    os.makedirs(os.path.join(partial, FOLDER, name))
    return f"{FOLDER}/{name}"


def _draw(path: str, size: "tuple[int, int]", left: str, right: str) -> None:
    """Draw a strip as wide as a film, with a text at each end. Raises SceneError."""
    # Not needed for most films, and large.
    import OpenImageIO as oiio

    highest = max(_SMALLEST, size[1] // _ROWS)
    margin = 3 * highest // 10
    width, height = size[0], highest + 2 * margin
    room = width - 2 * margin
    spec = oiio.ImageSpec(width, height, 4, oiio.UINT8)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    strip = oiio.ImageBuf(spec)
    oiio.ImageBufAlgo.fill(strip, _BEHIND)
    texts = (left, right) if left and right else (left or right,)
    for text in texts:
        fitting, high, wide = _fit(oiio, text, highest, room // len(texts))
        across = margin if text == left else width - margin - wide
        # From the line on which the letters stand.
        if not oiio.ImageBufAlgo.render_text(
            strip, across, height - margin - high // 8, fitting, high, _FONT, _WHITE
        ):
            raise SceneError(f"The film's texts cannot be drawn: {strip.geterror()}.", False)
    if not strip.write(path):
        raise SceneError(f"The film's texts cannot be written: {strip.geterror()}.", False)


def _fit(oiio: Any, text: str, high: int, room: int) -> "tuple[str, int, int]":
    """Return a text that is cut so that it fits, its height and its width, in pixels."""
    wide = _wide(oiio, text, high)
    if wide > room:
        high = max(_SMALLEST, high * room // wide)
    cut = text
    while cut and _wide(oiio, cut, high) > room:
        cut = text[: len(cut.removesuffix(_MORE)) - 1] + _MORE if len(cut) > len(_MORE) else ""
    return cut, high, _wide(oiio, cut, high)


def _wide(oiio: Any, text: str, high: int) -> int:
    return int(oiio.ImageBufAlgo.text_size(text, high, _FONT).width) if text else 0
