"""Is a rendered file whole? Decoded to the last pixel: a truncated file has a good header.

OpenImageIO reads every format of the Blender template. Its DPX and Cineon readers accept truncated
files (3.0.21), so that the file size in those formats' headers is compared too.
"""

import struct
from pathlib import Path

_SIZE_FIELD = {".dpx": 16, ".cin": 20}
"""Offset of the 32-bit file size: SMPTE 268M (DPX) and Kodak's Cineon 4.5 description."""
_BIG_ENDIAN_MAGIC = (b"SDPX", b"\x80\x2a\x5f\xd7")


class OutputError(Exception):
    """A result cannot be used. ``str()`` is a sentence for people."""


def check_image(path: Path, name: str, size: tuple[int, int] | None) -> None:
    """Decode an image.

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
    image = oiio.ImageBuf(str(path))
    for part in range(max(1, image.nsubimages)):
        # Through one ImageBuf a part; force=True decodes now instead of on first use.
        buffer = oiio.ImageBuf(str(path), part, 0)
        if not buffer.read(part, 0, True):
            reason = " ".join(buffer.geterror().replace(str(path), name).split()).rstrip(".")
            raise OutputError(f"{name} is not a complete image: {reason or 'it is damaged'}.")
        spec = buffer.spec()
        found = (spec.full_width, spec.full_height)
        if size is not None and found != size:
            raise OutputError(
                f"{name} has {found[0]}x{found[1]} pixels instead of {size[0]}x{size[1]}."
            )
    _check_declared_size(path, name)


def _check_declared_size(path: Path, name: str) -> None:
    offset = _SIZE_FIELD.get(path.suffix)
    if offset is None:
        return
    with path.open("rb") as file:
        header = file.read(offset + 4)
    order = ">" if header[:4] in _BIG_ENDIAN_MAGIC else "<"
    (declared,) = struct.unpack_from(f"{order}I", header, offset)
    # All ones means "undefined" in both formats.
    if declared != 0xFFFFFFFF and path.stat().st_size < declared:
        raise OutputError(f"{name} is not a complete image: it ends too early.")
