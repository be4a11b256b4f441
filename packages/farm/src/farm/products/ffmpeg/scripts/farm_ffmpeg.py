"""FFmpeg and ffprobe as subprocesses: started, read line by line, and asked about their results."""

import json
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any

from farm_events import SceneError, emit
from farm_images import strictness
from farm_start import die_with_parent

_KEPT_LINES = 30
_LONGEST_LINE = 4096
"""Limit on characters of a line that are read at once."""
# Limited, since FFmpeg also quotes a file's contents: texts that begin like this again and again.
_SIZE = re.compile(
    r"\[Parsed_showinfo_\d{1,9} @ [^]]{1,40}\] n: {0,9}\d{1,9} .{0,400}? s:(\d{1,9})x(\d{1,9}) "
)
# FFmpeg's names for pixel formats with an alpha channel, or a palette that may have one.
_ALPHA = re.compile(r"^(rgba|bgra|argb|abgr|yuva|gbrap|ya\d|pal8)")
_NOISE = re.compile(r"\[Parsed_showinfo_|frame= *\d+ fps=|\[libx26[45] @|\s*$")
_PROGRESS = re.compile(r"frame=(\d+)\s*$")
# OpenEXR's reader goes on, with black in place of what it could not read.
_LOST = "decode_block() failed"
_ENCODER = re.compile(r"^ V[A-Z.]{5} (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """How FFmpeg ended.

    Attributes:
        code: its exit code, negative when a signal ended it.
        images: how many images were decoded.
        lines: its last lines of output.
        lost: a part of an image could not be read.
    """

    code: int
    images: int
    lines: "list[str]"
    lost: bool = False

    @property
    def reason(self) -> str:
        """Why it failed, for people."""
        if self.code < 0:
            why = " It may have run out of memory." if self.code == -signal.SIGKILL else ""
            return f"FFmpeg was ended by {signal.Signals(-self.code).name}.{why}"
        reason = self.lines[-1].strip().rstrip(".") if self.lines else "it gave no reason"
        if reason == "Conversion failed!" and len(self.lines) > 1:
            reason = self.lines[-2].strip().rstrip(".")
        return f"FFmpeg failed with exit code {self.code}: {reason}."


@dataclass(frozen=True)
class Film:
    """What ffprobe found in a film.

    Attributes:
        size: in pixels.
        rate: frames a second.
        sound: seconds of sound; None without any.
    """

    codec: str
    frames: int
    size: "tuple[int, int]"
    rate: Fraction
    sound: "float | None"


def ffprobe_beside(ffmpeg: str) -> str:
    """Return the path of the ffprobe that was installed with an FFmpeg.

    Raises:
        SceneError: there is none.
    """
    for path in (ffmpeg, os.path.realpath(ffmpeg)):
        folder, name = os.path.split(path)
        # ffmpeg-5.1 has ffprobe-5.1 beside it.
        for other in dict.fromkeys((name.replace("ffmpeg", "ffprobe"), "ffprobe")):
            probe = os.path.join(folder, other)
            if probe != path and os.access(probe, os.X_OK):
                return probe
    raise SceneError(f"There is no ffprobe beside {ffmpeg}: films could not be checked.", False)


def encoders(ffmpeg: str) -> "set[str]":
    """Return the names of the video encoders that an FFmpeg was built with."""
    return set(_ENCODER.findall(_ask([ffmpeg, "-hide_banner", "-encoders"]).stdout))


def encode(
    command: "list[str]",
    folder: str,
    on_image: "Callable[[int, tuple[int, int]], None]",
    on_progress: "Callable[[int], None]",
    frames: "Iterator[bytearray] | None" = None,
) -> Run:
    """Run FFmpeg to its end.

    Parameters:
        command: with the filter ``showinfo``, and ``-progress pipe:1``.
        folder: in which it runs.
        on_image: called with the number of each decoded image, from 0, and its size; an exception
            that it raises ends FFmpeg.
        on_progress: called from another thread with the number of encoded frames.
        frames: for its standard input; what they raise ends FFmpeg, and is raised here.
    """
    emit("command", line=" ".join(command))
    process = _start(command, folder, subprocess.PIPE if frames else subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stderr is not None
    errors = process.stderr
    reader = threading.Thread(target=_read_progress, args=(process.stdout, on_progress))
    reader.start()
    wrong: list[BaseException] = []
    feeder = threading.Thread(target=_feed, args=(process, frames, wrong))
    feeder.start()
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    images = 0
    lost = False
    try:
        for line in iter(lambda: errors.readline(_LONGEST_LINE), ""):
            if match := _SIZE.search(line):
                on_image(images, (int(match[1]), int(match[2])))
                images += 1
            elif not _NOISE.match(line):
                print(line.rstrip(), flush=True)
                lines.append(line)
                lost = lost or _LOST in line
    except BaseException:
        process.kill()
        raise
    finally:
        process.stderr.close()
        code = process.wait()
        reader.join()
        feeder.join()
        process.stdout.close()
    if wrong:
        raise wrong[0]
    return Run(code, images, list(lines), lost)


@dataclass(frozen=True)
class Image:
    """What ffprobe found in an image; ``size``: in pixels, ``has_alpha``: it may."""

    size: "tuple[int, int]"
    has_alpha: bool


def damage(ffmpeg: str, image: str, reading: "list[str]") -> "str | None":
    """Return what is wrong with an image that cannot be decoded; None for a good one.

    Parameters:
        reading: arguments for its decoder.
    """
    strict = strictness(os.path.splitext(image)[1])
    look = [
        *(ffmpeg, "-v", "error", "-nostdin", "-xerror"),
        *strict,
        "-f",
        "image2",
        "-pattern_type",
        "none",
    ]
    look += reading
    done = _ask([*look, "-i", image, "-f", "null", "-"])
    return _why(done.stderr) if done.returncode or _LOST in done.stderr else None


def _why(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # "[png @ 0x55...] chunk too big": the address means nothing to people.
    return re.sub(r"^\[[^]]*\] *", "", lines[0]).rstrip(".") if lines else "no reason was given"


def decode(
    ffmpeg: str, image: str, reading: "list[str]", has_alpha: bool, straight: bool
) -> "tuple[tuple[int, int], bytearray] | str":
    """Return an image's size, and its pixels as planes of floats; or what is wrong with it.

    Parameters:
        reading: arguments for its decoder.
        has_alpha: so has the picture that is read: another format would cost bright colours.
        straight: divide the colours by it.
    """
    strict = strictness(os.path.splitext(image)[1])
    look = [ffmpeg, "-hide_banner", "-v", "info", "-nostdin", "-nostats", "-xerror", *strict]
    look += ["-f", "image2", "-pattern_type", "none", *reading, "-i", image]
    divided = ",unpremultiply=inplace=1" if straight else ""
    look += ["-vf", f"showinfo=checksum=0{divided}", "-f", "rawvideo"]
    look += ["-pix_fmt", "gbrapf32le" if has_alpha else "gbrpf32le", "-"]
    parent = os.getpid()
    done = subprocess.run(
        look,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        preexec_fn=lambda: die_with_parent(parent),
    )
    output = done.stderr.decode("utf-8", "backslashreplace")
    match = _SIZE.search(output)
    if done.returncode != 0 or match is None or _LOST in output:
        return damage(ffmpeg, image, reading) or _why(output)
    return (int(match[1]), int(match[2])), bytearray(done.stdout)


def look_at(ffprobe: str, image: str, reading: "list[str]") -> "Image | None":
    """Return an image's properties; None when it cannot be read. ``reading`` as in `damage`."""
    look = [ffprobe, "-v", "error", "-f", "image2", "-pattern_type", "none", *reading]
    done = _ask([*look, "-show_entries", "stream=width,height,pix_fmt", "-of", "json", image])
    try:
        stream: dict[str, Any] = json.loads(done.stdout)["streams"][0]
        size = (int(stream["width"]), int(stream["height"]))
    except (ValueError, KeyError, IndexError):
        return None
    has_alpha = _ALPHA.search(str(stream.get("pix_fmt", ""))) is not None
    return Image(size, has_alpha) if min(size) > 0 else None


def examine(ffprobe: str, film: str) -> Film:
    """Decode a film and return its properties.

    Raises:
        SceneError: it cannot be read.
    """
    entries = "stream=codec_name,nb_read_frames,width,height,avg_frame_rate"
    look = [ffprobe, "-v", "error", "-count_frames", "-select_streams", "v:0"]
    done = _ask([*look, "-show_entries", entries, "-of", "json", film])
    try:
        stream: dict[str, Any] = json.loads(done.stdout)["streams"][0]
        return Film(
            stream["codec_name"],
            int(stream["nb_read_frames"]),
            (int(stream["width"]), int(stream["height"])),
            Fraction(stream["avg_frame_rate"]),
            sound_seconds(ffprobe, [film]),
        )
    except (ValueError, KeyError, IndexError, ZeroDivisionError):
        reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1].rstrip(".")
        raise SceneError(f"ffprobe cannot read the film that was made: {reason}.", False) from None


def sound_seconds(ffprobe: str, file: "list[str]") -> "float | None":
    """Return how long a file's first sound is, 0 when it does not say so; None without any.

    Parameters:
        file: its path, and before it arguments for its reader.
    """
    look = [ffprobe, "-v", "error", "-select_streams", "a:0"]
    look += ["-show_entries", "stream=codec_type,duration:format=duration", "-of", "json", *file]
    try:
        found: dict[str, Any] = json.loads(_ask(look).stdout)
        stream: dict[str, Any] = found["streams"][0]
        return float(stream.get("duration") or found["format"].get("duration") or 0)
    except (ValueError, KeyError, IndexError):
        return None


def _read_progress(stream: "IO[str]", on_progress: "Callable[[int], None]") -> None:
    for line in stream:
        if match := _PROGRESS.match(line):
            on_progress(int(match[1]))


def _feed(
    process: "subprocess.Popen[str]",
    frames: "Iterator[bytearray] | None",
    wrong: "list[BaseException]",
) -> None:
    """Write frames to FFmpeg's standard input; what they raise goes into a list, and ends it."""
    if frames is None or process.stdin is None:
        return
    try:
        # As bytes. Closing both ends the film.
        with process.stdin, open(process.stdin.fileno(), "wb", closefd=False) as pipe:
            for frame in frames:
                pipe.write(frame)
    except BrokenPipeError:
        pass  # It has ended, and said why.
    except BaseException as error:
        wrong.append(error)
        process.kill()


def _start(
    command: "list[str]", folder: "str | None" = None, stdin: int = subprocess.DEVNULL
) -> "subprocess.Popen[str]":
    parent = os.getpid()
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
        preexec_fn=lambda: die_with_parent(parent),
    )


def _ask(command: "list[str]") -> "subprocess.CompletedProcess[str]":
    process = _start(command)
    out, err = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, err)
