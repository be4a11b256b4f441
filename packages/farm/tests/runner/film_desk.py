"""Films of image sequences through the real runner, and what is seen of them."""

import json
import shutil
import subprocess
from array import array
from pathlib import Path
from typing import Any

import OpenImageIO as oiio
import pytest
from farm.products import BUILT_IN
from farm.renderers import Renderer
from farm_protocol.runner import Outcome, SandboxMode
from pydantic import JsonValue

from .fake_farm import FakeFarm
from .in_process import end, run_job

FFMPEG = shutil.which("ffmpeg")
NEEDS_FFMPEG = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg on the PATH")
WIDTH, HEIGHT = 98, 66
OUT = "show/render_results/out"


def write_image(path: Path, shade: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """Write an image of one grey; its format follows from the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = oiio.FLOAT if path.suffix == ".exr" else oiio.UINT8
    image = oiio.ImageBuf(oiio.ImageSpec(*size, 3, kind))
    assert oiio.ImageBufAlgo.fill(image, (shade, shade, shade))
    assert image.write(str(path)), image.geterror()


class Desk:
    """Makes films of the images in a folder."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.images = self.project / "render_results" / "out"
        self.images.mkdir(parents=True)
        self.folder = folder
        self.ffmpeg = str(FFMPEG)
        self.others: list[Renderer] = []
        """Programs of other products on the same machine."""

    def draw(self, *frames: int, suffix: str = "png", name: str = "frame_") -> None:
        for frame in frames:
            write_image(self.images / f"{name}{frame:04d}.{suffix}", 0.05 + frame % 10 / 12)

    def fake(self, ffmpeg: str = "", ffprobe: str = "") -> None:
        """Put programs in front of the real ones: bodies of shell scripts."""
        programs = self.folder / "bin"
        programs.mkdir()
        real = Path(str(FFMPEG))
        for name, body in (("ffmpeg", ffmpeg), ("ffprobe", ffprobe)):
            script = programs / name
            script.write_text(f'#!/bin/sh\nreal={real.parent / name}\n{body}\nexec "$real" "$@"\n')
            script.chmod(0o755)
        self.ffmpeg = str(programs / "ffmpeg")

    def run(
        self,
        sequence: str = "frame_####.png",
        claim: int = 1,
        sandbox: SandboxMode = "off",
        **params: JsonValue,
    ) -> FakeFarm:
        """Make a film; return the farm that was told of it."""
        renderer = Renderer(
            "ffmpeg", "5.1", "ffmpeg", (self.ffmpeg,), "on the PATH", needs=("ffprobe",)
        )
        scene = f"render_results/out/{sequence}"
        return run_job(
            self.folder,
            "ffmpeg",
            [renderer, *self.others],
            "transcode",
            scene,
            [[claim]],
            params,
            sandbox=sandbox,
            output_folder=OUT,
        )

    def errors(self, **params: JsonValue) -> dict[str, list[str]]:
        """Return what is wrong about a film's parameters, by parameter."""
        template = BUILT_IN.load("ffmpeg", "transcode")
        assert template is not None
        return dict(template.validate(params).errors)

    def film(self, farm: FakeFarm) -> Path:
        """Return the one file that the farm was given."""
        assert end(farm).outcome is Outcome.COMPLETED, (end(farm), farm.log)
        (done,) = farm.frames.values()
        (output,) = done.outputs
        path = self.folder / "delivered" / output.path.removeprefix(f"{OUT}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(farm.blobs[output.hash])
        return path


def refusal(farm: FakeFarm, permanent: bool) -> str:
    """Return why there is no film."""
    assert end(farm).outcome is Outcome.FAILED, farm.log
    assert farm.frames == {}
    assert end(farm).permanent is permanent, end(farm)
    return end(farm).message


def stream(film: Path) -> dict[str, Any]:
    """Return what ffprobe says of a film's only stream."""
    (found,) = streams(film)
    return found


def streams(film: Path) -> list[dict[str, Any]]:
    """Return what ffprobe says of a film's streams."""
    look = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(film)]
    done = subprocess.run(look, capture_output=True, check=True)
    return [dict(each) for each in json.loads(done.stdout)["streams"]]


def pixel(film: Path) -> tuple[int, ...]:
    """Return the mean red, green, blue and alpha of a film's first frame, 0 to 255."""
    look = ["ffmpeg", "-v", "error", "-i", str(film), "-vf", "scale=1:1:flags=area"]
    look += ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    return tuple(subprocess.run(look, capture_output=True, check=True).stdout)


def picture(film: Path, number: int, size: tuple[int, int], channels: int) -> "array[int]":
    """Return a frame's pixels, as red, green, blue and, with 4 channels, alpha, of 16 bits."""
    look = ["ffmpeg", "-v", "error", "-i", str(film)]
    look += ["-vf", f"select=eq(n\\,{number}),scale=flags=accurate_rnd+full_chroma_int"]
    look += [
        "-frames:v",
        "1",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgba64le" if channels == 4 else "rgb48le",
    ]
    values = array("H", subprocess.run([*look, "-"], capture_output=True, check=True).stdout)
    assert len(values) == size[0] * size[1] * channels
    return values


def heard(film: Path, rate: int) -> "array[int]":
    """Return the samples of a film's sound, as one channel."""
    look = ["ffmpeg", "-v", "error", "-i", str(film), "-ac", "1", "-ar", str(rate), "-f", "s16le"]
    return array("h", subprocess.run([*look, "-"], capture_output=True, check=True).stdout)


def shades(film: Path, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[int]:
    """Return the grey in the middle of each frame, 0 to 255."""
    middle = f"crop=2:2:{size[0] // 2}:{size[1] // 2},format=gray"
    look = ["ffmpeg", "-v", "error", "-i", str(film), "-vf", f"{middle},scale=1:1"]
    look += ["-f", "rawvideo", "-pix_fmt", "gray", "-"]
    return list(subprocess.run(look, capture_output=True, check=True).stdout)


def write_glass(path: Path, multiplied: bool = False, shade: float = 0.8) -> None:
    """Write an image of one grey that is half transparent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = oiio.ImageSpec(WIDTH, HEIGHT, 4, oiio.UINT8)
    if not multiplied:
        spec.attribute("oiio:UnassociatedAlpha", 1)
    stored = shade / 2 if multiplied else shade
    image = oiio.ImageBuf(spec)
    assert oiio.ImageBufAlgo.fill(image, (stored, stored, stored, 0.5))
    assert image.write(str(path)), image.geterror()
