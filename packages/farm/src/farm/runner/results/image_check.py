"""Is a rendered image whole? Decoded to the last pixel: a truncated file has a good header.

OpenImageIO reads every format of the Blender template. Some of its readers accept truncated files
(3.0.21): JPEG and, short of its last bytes, PNG, whose ends are looked at; DPX and Cineon, whose
headers tell the file's size; TIFF, whose directories tell where the pixels are, and whose pixels
may be damaged without that it says so. Formats without checksums (TGA, BMP, JPEG, anything that is
not compressed) do not show that bytes are others than those that the renderer wrote.

What a scene has written is hostile until it has been read. So all of this runs in a process that
has limits (`farm.runner.results.image_worker`), and what a file asks for is read in its headers
before anything is decoded: a PNG of 24 MB may ask for 24 GB.
"""

import logging
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from farm.frame_health.statistics import ImageStatistics, InGroups, measure
from farm.runner.results import tiff_pixels
from farm.runner.results.outputs import OutputError, check_there

log = logging.getLogger("farm.runner")

_SIZE_FIELD = {".dpx": 16, ".cin": 20}
"""Offset of the 32-bit file size: SMPTE 268M (DPX) and Kodak's Cineon 4.5 description."""
_BIG_ENDIAN_MAGIC = (b"SDPX", b"\x80\x2a\x5f\xd7")
_JPEG_ENDING = b"\xff\xd9"
_ENDING = {".jpg": _JPEG_ENDING, ".jpeg": _JPEG_ENDING, ".png": b"IEND\xaeB`\x82"}
"""Last bytes: JPEG's end marker, and PNG's last chunk, which has the same checksum everywhere."""
_TIFF = (".tif", ".tiff")

_GIB = 1 << 30
FREELY_BYTES = 8 * _GIB
"""Of pixels that any file may have: a black frame of 16384x16384 pixels is a small file."""
MOST_BYTES = 128 * _GIB
"""Of pixels, where the file is not much smaller: 16384x16384 with 60 passes in half floats."""
MOST_RATIO = 100
"""Maximum ratio of decoded size to file size beyond `FREELY_BYTES`; noisy renders stay below 10."""
MOST_CHANNEL_BYTES = 4 * _GIB
"""Limit of one channel, since at least one is kept in memory: 32768x32768 floats."""
MOST_PARTS = 1024
"""Limit of parts in a file. Each is searched from the beginning of the file, so the time grows with
the square: this many small parts take two seconds, three times as many a minute."""
_NOWHERE = "frame.null"
"""A file name for OpenImageIO's null writer, which stores nothing."""
_NO_MEMORY = "bad_alloc"
"""In what OpenImageIO says when it got no memory."""
_AT_ONCE_BYTES = _GIB
"""What is decoded at a time: all of nearly every frame, some channels of larger ones."""


def examine(
    path: Path,
    name: str,
    size: tuple[int, int] | None,
    announce: Callable[[int], None] = lambda _: None,
) -> ImageStatistics | None:
    """Decode an image and return the numbers of what people see of it; None of a deep one.

    Parameters:
        name: how people know the file.
        size: expected (width, height) in pixels; None to take any.
        announce: called with the bytes of all pixels, before they are decoded.

    Raises:
        OutputError: it is missing, cannot be decoded completely, has another size, or asks for more
            than any frame needs.
        MemoryError: it needs more memory than this process may have.
    """
    return _Image(path, name).examined(size, announce)


class _Image:
    """An image file."""

    def __init__(self, path: Path, name: str) -> None:
        # 20 MB of libraries: only when the first frame is there.
        import OpenImageIO as oiio

        self._oiio, self._path, self._name = oiio, path, name

    def examined(
        self, size: tuple[int, int] | None, announce: Callable[[int], None]
    ) -> ImageStatistics | None:
        found: ImageStatistics | None = None
        for part, spec in enumerate(self._headers(size, announce)):
            if self._path.suffix.lower() in _TIFF and spec.image_bytes() <= _AT_ONCE_BYTES:
                self._check_strictly(part)
            if spec.image_bytes() <= _AT_ONCE_BYTES or spec.deep:
                image = self._read(part, spec)
                found = _measured(image) if part == 0 else found
            else:
                of_all = self._in_groups(part, spec)
                found = of_all if part == 0 else found
        _check_bytes(self._path, self._name)
        return found

    def _headers(
        self, size: tuple[int, int] | None, announce: Callable[[int], None]
    ) -> Sequence[Any]:
        """Return what each part says of itself. Raises OutputError before anything is decoded."""
        check_there(self._path, self._name)
        image = self._oiio.ImageInput.open(str(self._path))
        if image is None:
            raise self._damaged(self._oiio.geterror())
        specs: list[Any] = []
        while len(specs) <= MOST_PARTS and image.seek_subimage(len(specs), 0):
            specs.append(image.spec())
        # An error that nobody asks for is printed: that there is no further part.
        image.geterror()
        image.close()
        if not specs:
            raise self._damaged("it has no picture")
        if len(specs) > MOST_PARTS:
            raise OutputError(f"{self._name} has more than {MOST_PARTS} parts, which is too many.")
        for spec in specs:
            found = (spec.full_width, spec.full_height)
            if size is not None and found != size:
                raise OutputError(
                    f"{self._name} has {found[0]}x{found[1]} pixels instead of {size[0]}x{size[1]}."
                )
        announce(self._affordable(specs))
        return specs

    def _affordable(self, specs: Sequence[Any]) -> int:
        """Return the bytes of all pixels. Raises OutputError when they are too many."""
        # A tile may be larger than its image.
        channels = [max(each.image_bytes(), each.tile_bytes()) / each.nchannels for each in specs]
        pixels = int(sum(max(each.image_bytes(), each.tile_bytes()) for each in specs))
        there = self._path.stat().st_size
        if max(channels) > MOST_CHANNEL_BYTES or pixels > MOST_BYTES:
            raise OutputError(f"{self._asks_for(pixels)}, which is more than the farm can check.")
        if pixels > FREELY_BYTES and pixels > MOST_RATIO * there:
            raise OutputError(
                f"{self._asks_for(pixels)}, {pixels // there} times the size of its file: beyond"
                f" {_size(FREELY_BYTES)} it may be {MOST_RATIO} times at most."
            )
        return pixels

    def _asks_for(self, pixels: int) -> str:
        return f"The result {self._name} asks for {_size(pixels)} when decoded"

    def _read(self, part: int, spec: Any, channels: tuple[int, int] | None = None) -> Any:
        """Return a part with all of its pixels, or with some channels (the first, behind the last).

        Raises:
            OutputError: some pixels cannot be decoded.
        """
        begin, end = channels or (0, spec.nchannels)
        buffer = self._oiio.ImageBuf(str(self._path), part, 0)
        # True decodes all pixels now instead of on first use.
        read = (
            buffer.read(part, 0, True)
            if channels is None
            else buffer.read(part, 0, begin, end, True, self._oiio.UNKNOWN)
        )
        if not read or buffer.has_error:
            raise self._damaged(buffer.geterror())
        return buffer

    def _check_strictly(self, part: int) -> None:
        """Raise OutputError for errors of a part's reader that ImageBuf does not report.

        OpenImageIO 3.0.21 continues when strips of a TIFF cannot be decoded, and stores the error
        in a reader that ImageBuf does not expose. For LZW, this is the only sign of damage.
        """
        image = self._oiio.ImageInput.open(str(self._path))
        image.seek_subimage(part, 0)
        nowhere = self._oiio.ImageOutput.create(_NOWHERE)
        nowhere.open(_NOWHERE, image.spec())
        copied = nowhere.copy_image(image)
        if not copied or image.has_error:
            raise self._damaged(image.geterror() or nowhere.geterror())
        image.close()

    def _in_groups(self, part: int, spec: Any) -> ImageStatistics | None:
        """Decode a large part, as many channels at a time as fit."""
        each = spec.image_bytes() // spec.nchannels
        step = max(1, _AT_ONCE_BYTES // each)
        found = InGroups(spec)
        for begin in range(0, spec.nchannels, step):
            end = min(begin + step, spec.nchannels)
            found.add(self._read(part, spec, (begin, end)), begin)
        return found.result()

    def _damaged(self, error: str) -> OutputError:
        """Return what is wrong. Raises MemoryError: nothing may be."""
        if _NO_MEMORY in error:
            raise MemoryError
        reason = " ".join(error.replace(str(self._path), self._name).split()).rstrip(".")
        return OutputError(f"{self._name} is not a complete image: {reason or 'it is damaged'}.")


def _measured(image: Any) -> ImageStatistics | None:
    try:
        return measure(image)
    except MemoryError:
        raise
    except Exception:
        # Whole as it is, the frame counts; what it looks like is only a remark.
        log.exception("An image cannot be measured")
        return None


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GB" if count < 10 * _GIB else f"{count // _GIB} GB"


def _check_bytes(path: Path, name: str) -> None:
    """Find truncated and damaged files of the formats whose reader does not."""
    size = path.stat().st_size
    suffix = path.suffix.lower()
    whole = intact = True
    with path.open("rb") as file:
        if suffix in _SIZE_FIELD:
            offset = _SIZE_FIELD[suffix]
            header = file.read(offset + 4)
            order = ">" if header[:4] in _BIG_ENDIAN_MAGIC else "<"
            (declared,) = struct.unpack_from(f"{order}I", header, offset)
            # All ones means "undefined" in both formats.
            whole = declared == 0xFFFFFFFF or size >= declared
        elif suffix in _ENDING:
            ending = _ENDING[suffix]
            file.seek(-len(ending), os.SEEK_END)
            whole = file.read() == ending
        elif suffix in _TIFF:
            whole = not tiff_pixels.ends_too_early(file, size)
            intact = not whole or not tiff_pixels.fails_a_checksum(file, size)
    if not whole:
        raise OutputError(f"{name} is not a complete image: it ends too early.")
    if not intact:
        raise OutputError(f"{name} is not a complete image: its checksums do not match its pixels.")
