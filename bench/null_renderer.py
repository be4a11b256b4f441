"""A renderer that does nothing: a frame takes a millisecond of sleep, and maybe a tiny image.

    null_renderer.py --image=yes|no ARGUMENTS OF BLENDER

It answers ``--version`` as Blender does, and otherwise does for `farm.products`' start.py what
Blender with render.py does: the same events, through the same module, and each frame renamed into
the output folder as a PNG of its own. With ``--image=no`` it only says that it wrote one.
"""

import importlib
import re
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

VERSION = "4.5.15"
TASK_SECONDS = 0.001


def main() -> None:
    """Answer or render."""
    image, *arguments = sys.argv[1:]
    if "--version" in arguments:
        print(f"Blender {VERSION}")
        return
    # As render.py does: what all products share lies beside its folder.
    script = Path(arguments[arguments.index("-P") + 1])
    sys.path.insert(0, str(script.parents[2] / "shared"))
    farm_events = importlib.import_module("farm_events")

    own = arguments[arguments.index("--") + 1 :]
    options = dict(each.removeprefix("--").split("=", 1) for each in own)
    _render(farm_events, options, image == "--image=yes")


def _render(farm_events: Any, options: dict[str, str], image: bool) -> None:
    farm_events.emit("loaded", width=1, height=1, engine="NULL", version=VERSION)
    frames = _frames(options["frames"])
    for count, frame in enumerate(frames, 1):
        started = time.monotonic()
        farm_events.emit("frame_started", frame=frame)
        time.sleep(TASK_SECONDS)
        name = f"{options['prefix']}{frame:04d}.png"
        if image:
            part = Path(options["partial"], "frame.png")
            part.write_bytes(_picture(frame))
            part.replace(Path(options["output"], name))
        seconds = time.monotonic() - started
        farm_events.emit("frame_written", frame=frame, files=[name], extra=[], seconds=seconds)
        farm_events.progress(100 * count / len(frames))


def _frames(text: str) -> list[int]:
    """Read an OpenJD range as the runner writes it: ``1-5:2,20``, ascending."""
    frames: list[int] = []
    for part in text.split(","):
        piece = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        assert piece is not None, part
        first, last, step = piece.groups()
        frames.extend(range(int(first), int(last or first) + 1, int(step or 1)))
    return frames


def _picture(frame: int) -> bytes:
    """Return a PNG of one pixel, of a colour that no other frame has: equal files are one blob."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 6, 0, 0, 0))
    # A row begins with its filter (0: none); the frame number makes four bytes of colour.
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + frame.to_bytes(4, "big")))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


if __name__ == "__main__":
    main()
