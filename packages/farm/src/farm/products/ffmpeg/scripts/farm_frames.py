"""OpenEXR images one by one as raw frames: for those that FFmpeg does not read right by itself.

Of a file with several parts FFmpeg 5.1 shows the first one, and black for most others.
"""

import os
import struct
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import farm_exr
import farm_ffmpeg
from farm_alpha import Alpha
from farm_events import SceneError
from farm_layers import choose, pictures_in
from farm_scene_view import SceneView

_AT_ONCE = 2
"""Images that are decoded beside each other, and as many more that wait."""
_FLOAT = 4
_OPAQUE = struct.pack("<f", 1.0)
TO_SRGB = ("-apply_trc", "iec61966_2_1")
"""Arguments with which FFmpeg's reader makes sRGB of linear light."""


@dataclass(frozen=True)
class Frame:
    """One image, decoded.

    Attributes:
        size: in pixels.
        data: planes of floats: green, blue, red and, with alpha, this.
        has_alpha: there is the fourth plane.
    """

    size: "tuple[int, int]"
    data: bytearray
    has_alpha: bool

    @property
    def format(self) -> str:
        """FFmpeg's name of its pixel format."""
        return "gbrapf32le" if self.has_alpha else "gbrpf32le"

    def like(self, other: "Frame") -> bytearray:
        """Return the data with the planes that another frame has."""
        if self.has_alpha == other.has_alpha:
            return self.data
        pixels = self.size[0] * self.size[1]
        if self.has_alpha:
            return self.data[: 3 * _FLOAT * pixels]
        return self.data + _OPAQUE * pixels


@dataclass(frozen=True)
class Source:
    """Where frames come from.

    Attributes:
        ffmpeg: its path.
        layer, view: as `farm_layers.choose` takes them.
        folder: for files of single parts, each for a moment.
        scene_view: shows the images as their scene is shown; None: in sRGB.
        straight: colours are not to be multiplied by alpha.
    """

    ffmpeg: str
    layer: str
    view: str
    folder: str
    scene_view: "SceneView | None" = None
    straight: bool = False

    @property
    def alpha(self) -> Alpha:
        """How colours stand to the alpha channel of frames that have one."""
        if self.scene_view is None:
            return Alpha.LIGHT
        return Alpha.STRAIGHT if self.straight else Alpha.NONE

    def frame(self, image: str, name: str) -> Frame:
        """Decode an image.

        Parameters:
            name: what people call it.

        Raises:
            SceneError: it is damaged, or has no such picture.
        """
        found = pictures_in(image)
        picture = choose(found, self.layer, self.view, name)
        file = image
        if found.parts > 1:
            file = os.path.join(self.folder, f"part-{os.path.basename(image)}")
            try:
                farm_exr.write_part(image, picture.part, file)
            except (ValueError, struct.error) as error:
                raise damaged(name, str(error)) from None
        try:
            reading = [*picture.reading, *(TO_SRGB if self.scene_view is None else ())]
            straight = self.scene_view is not None and self.straight and picture.has_alpha
            read = farm_ffmpeg.decode(self.ffmpeg, file, reading, picture.has_alpha, straight)
        finally:
            if file != image:
                os.remove(file)
        if isinstance(read, str):
            raise damaged(name, read)
        size, data = read
        planes = 4 if picture.has_alpha else 3
        if len(data) != size[0] * size[1] * planes * _FLOAT:
            raise damaged(name, "it ends too early")
        if self.scene_view is not None:
            self.scene_view.show(image, name, size, data)
        return Frame(size, data, picture.has_alpha)


def damaged(name: str, why: str) -> SceneError:
    """Return a message about an image that cannot be shown."""
    return SceneError(f"{name} is damaged or not a complete image ({why}).")


def in_order(
    images: "list[str]", names: "list[str]", decode: "Callable[[str, str], Frame]"
) -> "Iterator[Frame]":
    """Yield the frames of images; some are decoded ahead. Raises what ``decode`` raises."""
    waiting = deque[Future[Frame]]()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for image, name in zip(images, names, strict=True):
                waiting.append(pool.submit(decode, image, name))
                if len(waiting) >= 2 * _AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()


def of_one_size(
    frames: "Iterator[Frame]", first: Frame, names: "list[str]"
) -> "Iterator[bytearray]":
    """Yield the data of frames, with the first one's planes.

    Parameters:
        first: it comes before the others.
        names: of the images, for people.

    Raises:
        SceneError: one has another size.
    """
    yield first.data
    for frame, name in zip(frames, names[1:], strict=True):
        check_size(frame.size, name, first.size, names[0])
        yield frame.like(first)


def check_size(
    size: "tuple[int, int]", name: str, first: "tuple[int, int]", first_name: str
) -> None:
    """Compare an image's size with that of a film's first one. Raises SceneError."""
    if size != first:
        raise SceneError(
            f"{name} has {size[0]}x{size[1]} pixels, but {first_name} has"
            f" {first[0]}x{first[1]}: all images of a film must have the same size."
        )
