"""A film's sound: a file of the project, from the right moment on, as long as the film."""

import os
from dataclasses import dataclass
from fractions import Fraction

import farm_ffmpeg
from farm_events import SceneError

RATE = 48000
"""Samples a second of a film's sound."""
_FORMATS = ("wav", "w64", "aiff", "au", "flac", "mp3", "aac", "ogg", "mov", "matroska")
"""FFmpeg's names. Not those that name further files, such as playlists."""
_READ = ("-protocol_whitelist", "file", "-format_whitelist", ",".join(_FORMATS))
_LAYOUTS = "mono|stereo|5.1|7.1"
_CODECS = {"mp4": ("-c:a", "aac", "-b:a", "256k"), "mov": ("-c:a", "pcm_s24le")}
"""Arguments by a film's extension."""


@dataclass(frozen=True)
class Sound:
    """The sound of a film.

    Attributes:
        path: the file.
        samples: of a whole film.
        skipped: samples of the file before the film begins; negative: of silence before the file.
    """

    path: str
    samples: int
    skipped: int

    def inputs(self) -> "list[str]":
        """Return FFmpeg's arguments for the file, as its second input."""
        return [*_READ, "-vn", "-sn", "-dn", "-i", f"file:{self.path}"]

    def outputs(self, extension: str) -> "list[str]":
        """Return FFmpeg's arguments for the film's sound."""
        cut = f"atrim=start_sample={self.skipped},asetpts=PTS-STARTPTS"
        late = f"adelay=delays={-self.skipped}S:all=1"
        filters = [
            f"aresample={RATE}:first_pts=0",
            f"aformat=channel_layouts={_LAYOUTS}",
            *([cut] if self.skipped > 0 else [late] if self.skipped < 0 else []),
            "apad",
            f"atrim=end_sample={self.samples}",
        ]
        chosen = ("-map", "1:a:0", "-af", ",".join(filters))
        return [*chosen, *_CODECS[extension], "-flags:a", "+bitexact"]


def sound_of(
    path: str, name: str, ffprobe: str, rate: Fraction, frames: "list[int]", start: "int | None"
) -> Sound:
    """Return the sound of a film.

    Parameters:
        path: of the file; ``name``: what people call it.
        rate: frames a second.
        frames: of the film.
        start: the frame with which the sound begins; None for the first one.

    Raises:
        SceneError: it is no sound, or none of it would be heard.
    """
    if not os.path.isfile(path):
        raise SceneError(f"The sound {name} is not in the project.")
    seconds = farm_ffmpeg.sound_seconds(ffprobe, [*_READ, f"file:{path}"])
    if seconds is None:
        raise SceneError(f"{name} is not a sound file that can be read, or has no sound.")
    begin = frames[0] if start is None else start
    skipped = round((frames[0] - begin) * RATE / rate)
    samples = round(len(frames) * RATE / rate)
    if -skipped >= samples or (seconds and skipped >= seconds * RATE):
        raise SceneError(
            f"The film would be silent: {name} begins with frame {begin} and has"
            f" {seconds:.2f} seconds, and the film has {float(len(frames) / rate):.2f} seconds from"
            f" frame {frames[0]} on. Set sound_start to the frame with which it begins."
        )
    return Sound(path, samples, skipped)


def check(film: "farm_ffmpeg.Film", sound: "Sound | None") -> "list[str]":
    """Return what is wrong about a film's sound."""
    if sound is None:
        return []
    expected = sound.samples / RATE
    # AAC has blocks of 1024 samples.
    if film.sound is None:
        return [f"no sound instead of {expected:.2f} seconds of it"]
    if abs(film.sound - expected) > 2048 / RATE:
        return [f"{film.sound:.2f} seconds of sound instead of {expected:.2f}"]
    return []
