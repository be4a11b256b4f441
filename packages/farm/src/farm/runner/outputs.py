"""Is a rendered file whole? Decoded to the last pixel: a truncated file has a good header.

OpenImageIO reads every format of the Blender template. Some of its readers accept truncated files
(3.0.21): JPEG and, short of its last bytes, PNG, whose ends are looked at; DPX and Cineon, whose
headers tell the file's size; TIFF, whose directories tell where the pixels are.
"""

import os
import stat
import struct
from pathlib import Path
from typing import Any

from farm_protocol.inside import reach
from farm_protocol.paths import UnsafePathError

from farm.runner import tiff_extent

_SIZE_FIELD = {".dpx": 16, ".cin": 20}
"""Offset of the 32-bit file size: SMPTE 268M (DPX) and Kodak's Cineon 4.5 description."""
_BIG_ENDIAN_MAGIC = (b"SDPX", b"\x80\x2a\x5f\xd7")
_JPEG_ENDING = b"\xff\xd9"
_ENDING = {".jpg": _JPEG_ENDING, ".jpeg": _JPEG_ENDING, ".png": b"IEND\xaeB`\x82"}
"""Last bytes: JPEG's end marker, and PNG's last chunk, which has the same checksum everywhere."""
_TIFF = (".tif", ".tiff")
IMAGES = frozenset(
    f".{extension}"
    for extension in (
        *("png", "jpg", "jpeg", "exr", "tif", "tiff", "bmp", "tga", "webp", "hdr", "dpx", "cin"),
        *("rgb", "sgi", "iff"),
    )
)
"""Suffixes of the formats whose wholeness can be judged."""


class OutputError(Exception):
    """A result cannot be used. ``str()`` is a sentence for people."""


def take(output: Path, name: str, target: Path, owner: int | None = None) -> None:
    """Move a file that the renderer has written to where the renderer cannot reach it.

    The renderer may be a scene's program, which still runs, and has no right to what the runner may
    read: it can put a link in the place of any of its files and folders. No link is followed.

    Parameters:
        output: that the renderer writes into, and may have replaced; but not the folder around it.
        name: of a file below it, in canonical form.
        target: on the same disk.
        owner: number of the account that must own the file; None for any. A renderer that is not
            the runner's user could link to a file of somebody else.

    Raises:
        OutputError: there is no such file, or something else in its place.
    """
    try:
        with reach(output.parent, f"{output.name}/{name}", through_root=False) as place:
            place.move_to(target)
    except (UnsafePathError, FileNotFoundError):
        raise OutputError(f"{name} is missing although the renderer reported it.") from None
    status = target.lstat()
    if not stat.S_ISREG(status.st_mode) or owner not in (None, status.st_uid):
        raise OutputError(f"{name} is no file: the scene has put something else in its place.")


def check_file(path: Path, name: str, size: tuple[int, int] | None) -> Any:
    """Check a result: an image by decoding it, anything else by not being empty.

    Returns the image's first part as an ``OpenImageIO.ImageBuf``, None of anything else.

    Parameters:
        name: how people know the file.
        size: expected (width, height) of an image in pixels; None to take any.

    Raises:
        OutputError: it is missing, empty, or an image that is not whole or has another size.
    """
    if path.suffix.lower() in IMAGES:
        return check_image(path, name, size)
    if not path.is_file() or path.stat().st_size == 0:
        raise OutputError(f"{name} is missing or empty although the renderer reported it.")
    return None


def check_image(path: Path, name: str, size: tuple[int, int] | None) -> Any:
    """Decode an image, and return its first part as an ``OpenImageIO.ImageBuf``.

    Parameters:
        name: how people know the file.
        size: expected (width, height) in pixels; None to take any.

    Raises:
        OutputError: it is missing, cannot be decoded completely, or has another size.
    """
    # 20 MB of libraries: only when the first frame is there.
    import OpenImageIO as oiio

    if not path.is_file() or path.stat().st_size == 0:
        raise OutputError(f"{name} is missing or empty although the renderer reported it.")
    try:
        first = _decode(oiio, path, name, size)
    finally:
        # The library keeps files open and remembers headers by name; a retry writes the same name.
        oiio.ImageCache(True).invalidate(str(path), True)
    _check_end(path, name)
    return first


def _decode(oiio: Any, path: Path, name: str, size: tuple[int, int] | None) -> Any:
    whole = oiio.ImageBuf(str(path))
    parts = max(1, whole.nsubimages)
    whole.geterror()  # an error that nobody asks for is printed; the parts below tell it again
    first = None
    for part in range(parts):
        buffer = oiio.ImageBuf(str(path), part, 0)
        # force=True decodes all pixels now instead of on first use.
        if not buffer.read(part, 0, True) or buffer.has_error:
            reason = " ".join(buffer.geterror().replace(str(path), name).split()).rstrip(".")
            raise OutputError(f"{name} is not a complete image: {reason or 'it is damaged'}.")
        spec = buffer.spec()
        found = (spec.full_width, spec.full_height)
        if size is not None and found != size:
            raise OutputError(
                f"{name} has {found[0]}x{found[1]} pixels instead of {size[0]}x{size[1]}."
            )
        first = first or buffer
    return first


def _check_end(path: Path, name: str) -> None:
    """Find truncated files of the formats whose reader does not."""
    size = path.stat().st_size
    suffix = path.suffix.lower()
    whole = True
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
            whole = not tiff_extent.ends_too_early(file, size)
    if not whole:
        raise OutputError(f"{name} is not a complete image: it ends too early.")
