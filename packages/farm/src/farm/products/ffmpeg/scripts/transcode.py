"""Encode an image sequence to a film with FFmpeg, and verify the film with ffprobe.

    transcode.py --ffmpeg=FILE --sequence=PATH --project=FOLDER --output=FOLDER --partial=FOLDER
                 --frames=RANGE --listed=TEXT --start=NUMBER --codec=NAME --quality=NUMBER
                 --rate=RATE --width=PIXELS --height=PIXELS --name=TEXT --layer=TEXT
                 --stereo-view=TEXT --view=SRGB|SCENE --colours=JSON --background=COLOUR
                 --sound=PATH --sound-start=TEXT --burn-text=TEXT --burn-frame=true|false
                 --burn-timecode=true|false

``--frames`` are the frames to report. They are also the frames of the film, unless ``--listed`` is
empty: then it has all existing images. The verified film is renamed into the output folder and
reported with the last frame. Events (see farm_events):

    loaded         width and height null: they would be those of images
    frame_started  frame: the first one
    frame_written  frame, files (relative to the output folder), extra (none), seconds
    failed         message, permanent

The exit code is 0 only if the film was written, and 3 after `failed`. The runner does not rely on
it, and checks the files itself.
"""

import argparse
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from fractions import Fraction

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import farm_ffmpeg
import farm_sound
from farm_alpha import Alpha
from farm_burn import Burnt
from farm_codecs import CODECS, Codec, even, film_size, has_alpha
from farm_events import SceneError, die_with_runner, emit, flush, progress, warn
from farm_film import Film
from farm_frames import TO_SRGB, Frame, Source, check_size, damaged, in_order, of_one_size
from farm_images import png_has_alpha, strictness, tiff_is_multiplied, trouble
from farm_layers import choose, pictures_in
from farm_scene_view import SceneView, differs
from farm_script import FAILED, FULL_DISK, disk_is_full, explain, frames_of, move
from farm_sequence import ImageSequence, SequenceError, parse_sequence
from farm_sound import Sound

_FULL = re.compile("No space left on device|Disk quota exceeded")
_SUSPECTS = 64
"""Number of images to check one by one after a failure: FFmpeg decodes at most so far ahead."""
_LINEAR = (".exr",)
_SHOWN = 12


def main() -> int:
    """Transcode; return the exit code."""
    options = _arguments()
    die_with_runner()
    try:
        _work(options)
    except SceneError as error:
        emit("failed", message=str(error), permanent=error.permanent)
        return FAILED
    except Exception as error:
        # Unexpected errors: the log gets the traceback, the user its last line.
        traceback.print_exc()
        emit("failed", message=explain(repr(error), options.partial), permanent=False)
        return FAILED
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    texts = ["ffmpeg", "sequence", "project", "output", "partial", "frames", "listed", "name"]
    texts += ["layer", "stereo-view", "view", "colours", "background", "sound", "sound-start"]
    texts += ["burn-text", "burn-frame", "burn-timecode"]
    for name in texts:
        parser.add_argument(f"--{name}", required=True)
    for name in ["start", "quality", "width", "height"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--codec", choices=sorted(CODECS), required=True)
    parser.add_argument("--rate", type=Fraction, required=True)
    return parser.parse_args()


def _work(options: argparse.Namespace) -> None:
    """Find the images, encode the film, check and report it. Raises SceneError."""
    codec: Codec = CODECS[options.codec]
    if min(options.width, options.height) < 0:
        raise SceneError("scale_width and scale_height must not be negative.")
    sequence, frames = _find(options)
    reported = frames_of(options.frames)
    ffprobe = farm_ffmpeg.ffprobe_beside(options.ffmpeg)
    encoder = codec.choose_encoder(farm_ffmpeg.encoders(options.ffmpeg), options.codec)
    started = time.monotonic()
    emit("loaded", width=None, height=None, engine=encoder)
    emit("frame_started", frame=reported[0])
    print(f"{len(frames)} images: {sequence}, frames {_shown(frames)}.", flush=True)
    images = _link(options, sequence, frames)
    names = [sequence.path(each) for each in frames]
    sound = _sound(options, ffprobe, frames)
    burnt = Burnt(options.burn_text, options.burn_frame == "true", options.burn_timecode == "true")
    film = Film(options, encoder, frames, sound, burnt)
    source = _source(options, images[0], names[0])
    if source is None:
        reading = _reading(options, images[0], names[0])
        first = farm_ffmpeg.look_at(ffprobe, images[0], reading)
        _refuse_too_small(options, first.size if first else None)
        alpha = _alpha(images, first is not None and first.has_alpha)
        command = film.command(
            _images(options, reading, images), alpha, first.size if first else None
        )
        size = _encode(options, command, reading, images, names)
    else:
        decoded = in_order(images, names, source.frame)
        shown = next(decoded)
        size = shown.size
        _refuse_too_small(options, size)
        alpha = source.alpha if shown.has_alpha else Alpha.NONE
        command = film.command(_frames(options, shown), alpha, size)
        _encode_frames(options, command, decoded, shown, names)
    _check(farm_ffmpeg.examine(ffprobe, film.path), options, len(frames), size, sound)
    name = f"{options.name}.{codec.extension}"
    target = os.path.join(options.output, name)
    move(film.path, target)
    seconds = (time.monotonic() - started) / len(reported)
    for frame in reported:
        files = [name] if frame == reported[-1] else []
        emit("frame_written", frame=frame, files=files, extra=[], seconds=seconds)


def _find(options: argparse.Namespace) -> "tuple[ImageSequence, list[int]]":
    """Return the sequence, relative to the project, and the frames of the film.

    Raises:
        SceneError: frames are missing.
    """
    try:
        sequence = parse_sequence(os.path.relpath(options.sequence, options.project))
    except SequenceError as error:
        raise SceneError(str(error)) from None
    folder = os.path.join(options.project, sequence.folder)
    names = os.listdir(folder) if os.path.isdir(folder) else []
    numbers = (sequence.frame(sequence.folder + name) for name in names)
    there = {number for number in numbers if number is not None}
    if options.listed.strip():
        wanted = frames_of(options.frames)
    else:
        # 0 means "not set": a sequence may begin at a negative frame.
        taken = [each for each in there if not options.start or each >= options.start]
        first = options.start or min(taken, default=0)
        wanted = list(range(first, max(taken, default=first - 1) + 1))
    missing = [frame for frame in wanted if frame not in there]
    if not wanted or len(missing) == len(wanted):
        raise SceneError(f"There is no image {sequence} in the project.")
    if missing:
        raise SceneError(
            f"Images of {sequence} are missing: {_shown(missing)}. A film cannot have gaps."
            " Set frames to the ones that it should have."
        )
    return sequence, wanted


def _sound(options: argparse.Namespace, ffprobe: str, frames: "list[int]") -> "Sound | None":
    """Return the film's sound; None without any. Raises SceneError."""
    if not options.sound:
        return None
    path = os.path.join(options.project, options.sound)
    start = int(options.sound_start) if options.sound_start else None
    return farm_sound.sound_of(path, options.sound, ffprobe, options.rate, frames, start)


def _shown(frames: "list[int]") -> str:
    """Format ascending frames for people: ``1-4, 9``."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1][1:] = [frame]
        else:
            runs.append([frame])
    texts = ["-".join(map(str, run)) for run in runs[:_SHOWN]]
    return ", ".join(texts) + (", ..." if len(runs) > _SHOWN else "")


def _link(options: argparse.Namespace, sequence: ImageSequence, frames: "list[int]") -> "list[str]":
    """Create links to the images with consecutive names, as FFmpeg needs them; return their paths.

    Raises:
        SceneError: an image is incomplete.
    """
    folder = os.path.join(options.partial, "images")
    os.makedirs(folder)
    links = []
    for number, frame in enumerate(frames):
        name = sequence.path(frame)
        image = os.path.join(options.project, name)
        if why := trouble(image):
            raise damaged(name, why)
        link = os.path.join(folder, f"{number:08d}{sequence.suffix}")
        os.symlink(image, link)
        links.append(link)
    return links


def _source(options: argparse.Namespace, image: str, name: str) -> "Source | None":
    """Return where frames come from that must be decoded one by one; None for others.

    Parameters:
        image: path of the first image.
        name: its path in messages.

    Raises:
        SceneError: only OpenEXR has what is asked for.
    """
    if not image.endswith(_LINEAR):
        if options.layer or options.stereo_view:
            raise SceneError(
                f"Only OpenEXR images have layers and views. Leave 'layer' and 'stereo_view' out"
                f" for {name}."
            )
        return None
    scene_view = SceneView(json.loads(options.colours)) if options.view == "SCENE" else None
    if not (scene_view or options.layer) and (message := differs(image, name)):
        warn(message)
    if scene_view is None and pictures_in(image).parts == 1:
        return None
    codec: Codec = CODECS[options.codec]
    straight = bool(options.background) or has_alpha(codec, options.quality)
    picture = options.layer, options.stereo_view
    return Source(options.ffmpeg, *picture, options.partial, scene_view, straight)


def _reading(options: argparse.Namespace, image: str, name: str) -> "list[str]":
    """Return FFmpeg's arguments for reading images that have one part each.

    Parameters:
        image: the first one; ``name``: what people call it.

    Raises:
        SceneError: it has no such layer or view, or several and none is the picture itself.
    """
    if not image.endswith(_LINEAR):
        return []
    found = pictures_in(image)
    if not found.all and not options.layer and not options.stereo_view:
        return list(TO_SRGB)
    return [*choose(found, options.layer, options.stereo_view, name).reading, *TO_SRGB]


def _alpha(images: "list[str]", has_it: bool) -> Alpha:
    """Return how the images' alpha channel is to be treated.

    Parameters:
        has_it: the first image has an alpha channel.
    """
    if images[0].endswith(_LINEAR):
        return Alpha.LIGHT if has_it else Alpha.NONE
    if images[0].endswith((".tif", ".tiff")) and tiff_is_multiplied(images[0]):
        return Alpha.MULTIPLIED
    of_others = images[0].endswith(".png") and any(map(png_has_alpha, images))
    return Alpha.STRAIGHT if has_it or of_others else Alpha.NONE


def _refuse_too_small(options: argparse.Namespace, image: "tuple[int, int] | None") -> None:
    """Refuse a size that is too small for the codec: the encoder's message would not be helpful.

    Parameters:
        image: size of the first image; None if it is damaged, which FFmpeg will report.

    Raises:
        SceneError: the film would be smaller than the codec's minimum.
    """
    codec: Codec = CODECS[options.codec]
    size = film_size(image, options.width, options.height) if image else None
    if size and min(size) < codec.least:
        raise SceneError(
            f"The film would have {_pixels(size)} pixels, but {options.codec} needs at least"
            f" {_pixels((codec.least, codec.least))}. Set scale_width and"
            " scale_height, or choose another codec."
        )


def _images(options: argparse.Namespace, reading: "list[str]", images: "list[str]") -> "list[str]":
    """Return FFmpeg's arguments for a sequence of images; ``reading``: for their decoder."""
    folder, name = os.path.split(os.path.relpath(images[0], options.partial))
    suffix = os.path.splitext(name)[1]
    return [
        *strictness(suffix),
        *("-f", "image2", "-pattern_type", "sequence", "-start_number", "0"),
        *("-framerate", str(options.rate)),
        *reading,
        # Relative: a "%" in the name of a folder would be taken for a number as well.
        *("-i", f"{folder}/%08d{suffix}"),
    ]


def _frames(options: argparse.Namespace, first: Frame) -> "list[str]":
    """Return FFmpeg's arguments for frames that are decoded one by one."""
    return [
        *("-f", "rawvideo", "-pixel_format", first.format),
        *("-video_size", _pixels(first.size), "-framerate", str(options.rate), "-i", "pipe:0"),
    ]


def _encode(
    options: argparse.Namespace,
    command: "list[str]",
    reading: "list[str]",
    images: "list[str]",
    names: "list[str]",
) -> "tuple[int, int]":
    """Write the film into the partial folder; return the size of its images.

    Parameters:
        command: FFmpeg's.
        reading: arguments for the images' decoder.
        names: of the images, for people.

    Raises:
        SceneError: FFmpeg fails, or the images differ in size.
    """
    sizes: list[tuple[int, int]] = []

    def on_image(number: int, size: "tuple[int, int]") -> None:
        sizes.append(size)
        check_size(size, names[number], sizes[0], names[0])

    done = farm_ffmpeg.encode(
        command,
        options.partial,
        on_image,
        lambda encoded: progress(min(100.0, 100 * encoded / len(images))),
    )
    if done.code != 0 or done.lost:
        raise _failure(done, options, reading, images, names)
    if len(sizes) != len(images):
        raise SceneError(f"FFmpeg read only {len(sizes)} of {len(images)} images.", False)
    return sizes[0]


def _encode_frames(
    options: argparse.Namespace,
    command: "list[str]",
    frames: "Iterator[Frame]",
    first: Frame,
    names: "list[str]",
) -> None:
    """Write the film of frames that are decoded one by one.

    Parameters:
        command: FFmpeg's.
        first: comes before the other frames.
        names: of the images, for people.

    Raises:
        SceneError: FFmpeg fails, or an image is damaged or differs in size.
    """
    done = farm_ffmpeg.encode(
        command,
        options.partial,
        lambda _number, _size: None,
        lambda encoded: progress(min(100.0, 100 * encoded / len(names))),
        of_one_size(frames, first, names),
    )
    if done.code != 0:
        raise _failure(done, options, [], [], [])
    if done.images != len(names):
        raise SceneError(f"FFmpeg read only {done.images} of {len(names)} images.", False)


def _failure(
    done: farm_ffmpeg.Run,
    options: argparse.Namespace,
    reading: "list[str]",
    images: "list[str]",
    names: "list[str]",
) -> SceneError:
    if any(_FULL.search(line) for line in done.lines) or disk_is_full(options.partial):
        return SceneError(FULL_DISK, False)
    suspects = slice(0 if done.lost else done.images, done.images + _SUSPECTS)
    for image, name in zip(images[suspects], names[suspects], strict=True):
        if done.code >= 0 and (why := farm_ffmpeg.damage(options.ffmpeg, image, reading)):
            return damaged(name, why)
    return SceneError(done.reason, False)


def _check(
    film: farm_ffmpeg.Film,
    options: argparse.Namespace,
    images: int,
    size: "tuple[int, int]",
    sound: "Sound | None",
) -> None:
    """Verify the properties of the film. Raises SceneError."""
    codec: Codec = CODECS[options.codec]
    wrong = []
    if film.frames != images:
        wrong.append(f"{film.frames} frames instead of {images}")
    if film.rate != options.rate:
        wrong.append(f"{film.rate} frames a second instead of {options.rate}")
    if film.codec != codec.name:
        wrong.append(f"the codec {film.codec} instead of {codec.name}")
    width, height = options.width, options.height
    # If only one of both is set, FFmpeg derives the other from the aspect ratio, and rounds it.
    expected = (
        even(width or (film.size[0] if height else size[0])),
        even(height or (film.size[1] if width else size[1])),
    )
    if film.size != expected:
        wrong.append(f"{_pixels(film.size)} pixels instead of {_pixels(expected)}")
    wrong += farm_sound.check(film, sound)
    if wrong:
        raise SceneError(f"The film that FFmpeg made has {', '.join(wrong)}.", False)


def _pixels(size: "tuple[int, int]") -> str:
    return f"{size[0]}x{size[1]}"


if __name__ == "__main__":
    code = main()
    flush()
    sys.exit(code)
