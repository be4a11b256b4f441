"""What the stand-ins share: test orders, refusals, pictures."""

import os
import re
import resource
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

FORMATS = {
    "exr": "openexr",
    "png": "png",
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "tif": "tiff",
    "tiff": "tiff",
    "tga": "targa",
    "iff": "iff",
}
"""Extension -> OpenImageIO's name of the format."""

_WITH_FRAME = ("fail-at", "lie-at", "truncate", "hang-at", "crash-at", "wrong-size")
_WITHOUT = ("licence", "error-exit-0")


class RefusedError(Exception):
    """The real program would end here.

    Attributes:
        code: exit code.
        lines: what it prints, on standard error.
    """

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.code = code
        self.lines = lines


@dataclass
class Orders:
    """Test orders of a scene, from its comments ``<comment sign> stand-in: <order>``.

    Those with a frame may stand there several times, for several frames.

    Attributes:
        licence: ``licence``: there is no licence.
        error_exit_0: ``error-exit-0``: a failure is printed before the first frame; all frames are
            written and the exit code is 0 nevertheless.
        seconds: ``seconds 0.1``: how long a frame takes.
        frames: order -> frames. ``fail-at 3``: the product's render error instead of frame 3;
            ``lie-at 3``: all is well, but frame 3 is not written; ``truncate 3``: half of its file
            is; ``hang-at 3``: prints nothing any more, forever; ``crash-at 3``: SIGSEGV;
            ``wrong-size 3``: half as wide and high as asked for.
    """

    licence: bool = False
    error_exit_0: bool = False
    seconds: float = 0.0
    frames: dict[str, set[int]] = field(default_factory=dict)

    def at(self, order: str, frame: int) -> bool:
        """Return whether there is such an order for a frame."""
        return frame in self.frames.get(order, ())

    def begin(self, frame: int) -> None:
        """Take a frame's time; hang or crash where ordered."""
        time.sleep(self.seconds)
        if self.at("hang-at", frame):
            hang()
        if self.at("crash-at", frame):
            crash()


def read_orders(text: str, sign: str) -> Orders:
    """Return the orders of a scene.

    Parameters:
        sign: how a comment begins in the scene's language; an order has a line for itself.

    Raises:
        ValueError: there is no such order: the test is wrong.
    """
    orders = Orders()
    for line in re.findall(rf"^[ \t]*{re.escape(sign)} *stand-in:(.*)$", text, re.MULTILINE):
        match line.split():
            case [word] if word in _WITHOUT:
                setattr(orders, word.replace("-", "_"), True)
            case ["seconds", number]:
                orders.seconds = float(number)
            case [word, number] if word in _WITH_FRAME:
                orders.frames.setdefault(word, set()).add(int(number))
            case _:
                raise ValueError(f"There is no such order for a stand-in: {line.strip()!r}")
    return orders


def hang() -> NoReturn:
    """Do nothing, forever; signals still end the process."""
    while True:
        signal.pause()


def crash() -> NoReturn:
    """End by SIGSEGV, without a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)
    hang()


def frame_range(first: int, last: int, step: int) -> list[int]:
    """Return the frames from first to last, both included; ``step`` is positive."""
    return list(range(first, last + 1, step))


def unique(frames: Iterable[int]) -> list[int]:
    """Return each frame once, in the order of the first appearance."""
    return list(dict.fromkeys(frames))


def write_frame(
    path: Path, size: tuple[int, int], frame: int, orders: Orders, extension: str
) -> None:
    """Write a frame's file, or what the orders make of it.

    Parameters:
        size: (width, height) in pixels.
        extension: key of `FORMATS`; the file's own name may say something else.

    Raises:
        OSError: it cannot be written; ``strerror`` says why.
    """
    # Also a lie needs a folder that can be written to: it is about this frame, not about the disk.
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    if orders.at("lie-at", frame):
        return
    if orders.at("wrong-size", frame):
        size = (max(1, size[0] // 2), max(1, size[1] // 2))
    _draw(path, size, frame, FORMATS[extension])
    if orders.at("truncate", frame):
        os.truncate(path, path.stat().st_size // 2)


def _draw(path: Path, size: tuple[int, int], frame: int, format_name: str) -> None:
    """Draw a gradient whose colours move with the frame."""
    # 80 ms: only a process that draws pays for it.
    import OpenImageIO as oiio

    half_float = format_name == "openexr"
    buffer = oiio.ImageBuf(oiio.ImageSpec(*size, 3, oiio.HALF if half_float else oiio.UINT8))
    # An irrational step: hundreds of frames, no two with the same colours.
    shift = frame * 0.6180339887 % 1.0
    oiio.ImageBufAlgo.fill(
        buffer, (shift, 0.0, 0.2), (1.0 - shift, 1.0, 0.2), (0.2, shift, 1.0), (1.0, 0.5, shift)
    )
    if not buffer.write(str(path), fileformat=format_name):
        raise OSError(5, buffer.geterror(), str(path))
