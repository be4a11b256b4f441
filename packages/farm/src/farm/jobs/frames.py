"""Frame specifications: the documented text ``start [end] [step],[start [end] [step]],...``."""

from collections.abc import Iterable, Sequence

MAX_FRAMES = 1_000_000
"""Most frames of one job."""

MAX_FRAME_NUMBER = 1_048_574
"""Blender's own limit (MAXFRAME), in both directions; the widest of the supported products."""


_TEST_FRAMES = 3


class FrameSpecError(ValueError):
    """A frame specification that makes no sense. ``str()`` says which part and why."""


def parse_frames(text: str) -> list[int]:
    """Return the frames that ``text`` asks for, each once, in the order they were asked for.

    ``"5"`` is frame 5, ``"1 10"`` frames 1 to 10, ``"1 10 3"`` frames 1, 4, 7, 10; parts are
    separated by commas. A negative step counts down from start to end.

    Raises:
        FrameSpecError: empty, not whole numbers, a step of 0, a direction that never reaches the
            end, a number beyond `MAX_FRAME_NUMBER`, or more than `MAX_FRAMES` frames.
    """
    if not text.strip():
        raise FrameSpecError(
            "No frames are given; write them as 'start [end] [step]', such as '1 24 1'."
        )
    ranges = [_parse_part(part) for part in text.split(",")]
    if sum(len(each) for each in ranges) > MAX_FRAMES:
        raise FrameSpecError(f"More than {MAX_FRAMES} frames are asked for.")
    return list(dict.fromkeys(frame for each in ranges for frame in each))


def _parse_part(part: str) -> range:
    words = part.split()
    shown = f"'{part.strip()[:60]}'"
    if not 1 <= len(words) <= 3:
        raise FrameSpecError(
            f"{shown} is not a frame range: write 'start [end] [step]', such as '1 24 1'."
        )
    try:
        numbers = [int(word) for word in words if _is_ascii_integer(word)]
    except ValueError:  # int() refuses thousands of digits
        numbers = []
    if len(numbers) != len(words):
        raise FrameSpecError(f"{shown} is not a frame range: only whole numbers may stand in it.")
    start = numbers[0]
    end = numbers[1] if len(numbers) > 1 else start
    step = numbers[2] if len(numbers) > 2 else 1
    if max(abs(start), abs(end)) > MAX_FRAME_NUMBER:
        raise FrameSpecError(f"{shown}: frames must lie within ±{MAX_FRAME_NUMBER}.")
    if step == 0:
        raise FrameSpecError(f"{shown}: the step must not be 0.")
    if (end - start) * step < 0:
        raise FrameSpecError(f"{shown}: a step of {step} never leads from {start} to {end}.")
    return range(start, end + (1 if step > 0 else -1), step)


def _is_ascii_integer(word: str) -> bool:
    digits = word.removeprefix("-")
    return digits.isascii() and digits.isdigit()


def with_test_frames(frames: Sequence[int]) -> tuple[list[int], int]:
    """Return the frames, the first, middle and last one in front, and how many of them these are.

    Of three frames or fewer each would be one: they stay as they are, and there are none.
    """
    if len(frames) <= _TEST_FRAMES:
        return list(frames), 0
    places = [0, len(frames) // 2, len(frames) - 1]
    rest = [frame for place, frame in enumerate(frames) if place not in places]
    return [frames[place] for place in places] + rest, _TEST_FRAMES


def format_frames(frames: Iterable[int], limit: int = 8) -> str:
    """Return a short text for people, such as ``"1-4, 9, 12"``; at most ``limit`` parts."""
    runs: list[list[int]] = []
    for frame in sorted(set(frames)):
        if runs and frame == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], frame]
        else:
            runs.append([frame, frame])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:limit]]
    return ", ".join(texts) + (", ..." if len(runs) > limit else "")
