"""Frame specifications: the documented text ``start [end] [step],[start [end] [step]],...``.

Frames are kept as the requested ranges: a job may have a million of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice

MAX_FRAMES = 1_000_000
"""Most frames of one job."""

MAX_RANGES = 10_000
"""Most ranges of one job, none of which shares a frame with another."""

MAX_FRAME_NUMBER = 1_048_574
"""Blender's own limit (MAXFRAME), in both directions; the widest of the supported products."""


_TEST_FRAMES = 3
_MOST_LOOKED_AT = 1_000
"""Frames of a range with gaps that a text for people looks at: it shows a few of them."""


class FrameSpecError(ValueError):
    """A frame specification that makes no sense. ``str()`` says which part and why.

    Attributes:
        pieces: as of `Frames`.
    """

    pieces = 0


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames in the requested order, each once.

    Attributes:
        runs: none is empty, none shares a frame with another.
        pieces: number of parts from which these were assembled: the cost.
    """

    runs: tuple[range, ...] = ()
    pieces: int = field(default=0, compare=False)

    def __len__(self) -> int:
        """Return how many frames these are."""
        return sum(map(len, self.runs))

    def __iter__(self) -> Iterator[int]:
        """Yield each frame."""
        for run in self.runs:
            yield from run

    def __getitem__(self, place: int) -> int:
        """Return the frame at a place, from 0. Raises IndexError."""
        for run in self.runs:
            if place < len(run):
                return run[place]
            place -= len(run)
        raise IndexError(place)

    @property
    def lowest(self) -> int:
        """The lowest frame. Raises ValueError when there is none."""
        return min(min(run[0], run[-1]) for run in self.runs)

    @property
    def highest(self) -> int:
        """The highest frame. Raises ValueError when there is none."""
        return max(max(run[0], run[-1]) for run in self.runs)

    def without(self, places: Iterable[int]) -> Iterator[range]:
        """Yield the ranges that remain without the frames at these positions."""
        wanted = sorted(places)
        begin = 0
        for run in self.runs:
            at = 0
            while wanted and wanted[0] < begin + len(run):
                place = wanted.pop(0) - begin
                yield run[at:place]
                at = place + 1
            yield run[at:]
            begin += len(run)


class FrameSet:
    """Frames that are marked, among those from the lowest to the highest: a byte for each.

    Whole ranges are marked and compared at once, whatever their steps are.
    """

    def __init__(self, lowest: int, highest: int) -> None:
        """Start with no frame marked."""
        self._lowest = lowest
        self._marks = bytearray(highest - lowest + 1)

    def add(self, run: range) -> None:
        """Mark the frames of a range that are among those that can be."""
        if places := self._places(run):
            self._marks[places.start : places.stop : places.step] = b"\1" * len(places)

    def common(self, run: range) -> Iterator[range]:
        """Yield the parts of a range that are marked."""
        return self._parts(run, 1)

    def missing(self, run: range) -> Iterator[range]:
        """Yield the parts of a range that are not marked; all of it must be among what can be."""
        return self._parts(run, 0)

    def _places(self, run: range) -> range:
        """Return where the marks of a range stand, ascending."""
        upwards = run if run.step > 0 else run[::-1]
        skipped = max(0, -((upwards.start - self._lowest) // upwards.step))
        above = self._lowest + len(self._marks) - 1 - upwards.start
        inside = upwards[skipped : above // upwards.step + 1] if above >= 0 else range(0)
        return range(inside.start - self._lowest, inside.stop - self._lowest, inside.step)

    def _parts(self, run: range, mark: int) -> Iterator[range]:
        places = self._places(run)
        if not places:
            return
        marks = self._marks[places.start : places.stop : places.step]
        inside = range(places.start + self._lowest, places.stop + self._lowest, places.step)
        if run.step < 0:
            marks.reverse()
            inside = inside[::-1]
        begin = marks.find(mark)
        while begin >= 0:
            end = marks.find(1 - mark, begin)
            end = len(marks) if end < 0 else end
            yield inside[begin:end]
            begin = marks.find(mark, end)


def parse_frames(text: str) -> Frames:
    """Return the frames in ``text``, each once, in the requested order.

    ``"5"`` is frame 5, ``"1 10"`` frames 1 to 10, ``"1 10 3"`` frames 1, 4, 7, 10; parts are
    separated by commas. A negative step counts down from start to end.

    Raises:
        FrameSpecError: empty, not whole numbers, a step of 0, a direction that never reaches the
            end, a number beyond `MAX_FRAME_NUMBER`, more than `MAX_FRAMES` frames, or ranges that
            overlap so that more than `MAX_RANGES` are left.
    """
    if not text.strip():
        raise FrameSpecError(
            "No frames are given. Write them as 'start [end] [step]', such as '1 24 1'."
        )
    ranges = [_parse_part(part) for part in text.split(",")]
    if sum(len(each) for each in ranges) > MAX_FRAMES:
        raise FrameSpecError(
            f"The job has more than {MAX_FRAMES} frames. Split them over several jobs."
        )
    pieces = count()
    each_once = (run for run, _ in zip(_each_once(ranges), pieces, strict=False))
    runs = tuple(islice(_joined(each_once), MAX_RANGES + 1))
    if len(runs) > MAX_RANGES:
        error = FrameSpecError(
            f"The frames form more than {MAX_RANGES} separate ranges. Write ranges that do"
            " not overlap, or split them over several jobs."
        )
        error.pieces = next(pieces)
        raise error
    return Frames(runs, next(pieces))


def _each_once(ranges: list[range]) -> Iterator[range]:
    if len(ranges) == 1:
        yield ranges[0]
        return
    asked = Frames(tuple(ranges))
    there = FrameSet(asked.lowest, asked.highest)
    for each in ranges:
        yield from there.missing(each)
        there.add(each)


def _joined(runs: Iterable[range]) -> Iterator[range]:
    """Yield ranges, as few as a scan from left to right gives."""
    last: range | None = None
    for run in runs:
        both = None if last is None else _join(last, run)
        if both is None and last is not None:
            yield last
        last = both or run
    if last is not None:
        yield last


def _join(one: range, two: range) -> range | None:
    step = two[0] - one[-1]
    if (len(one) > 1 and one.step != step) or (len(two) > 1 and two.step != step):
        return None
    return range(one[0], two[-1] + (1 if step > 0 else -1), step)


def _parse_part(part: str) -> range:
    words = part.split()
    shown = f"'{part.strip()[:60]}'"
    if not 1 <= len(words) <= 3:
        raise FrameSpecError(
            f"{shown} is not a frame range. Write 'start [end] [step]', such as '1 24 1'."
        )
    try:
        numbers = [int(word) for word in words if _is_ascii_integer(word)]
    except ValueError:  # int() refuses thousands of digits
        numbers = []
    if len(numbers) != len(words):
        raise FrameSpecError(f"{shown} is not a frame range. Write whole numbers only.")
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


def with_test_frames(frames: Frames) -> tuple[Frames, int]:
    """Return the frames, the first, middle and last one in front, and how many of them these are.

    Of three frames or fewer each would be one: they stay as they are, and there are none.
    """
    count = len(frames)
    if count <= _TEST_FRAMES:
        return frames, 0
    places = [0, count // 2, count - 1]
    first = [range(frames[place], frames[place] + 1) for place in places]
    rest = [run for run in frames.without(places) if run]
    return Frames((*first, *rest)), _TEST_FRAMES


def format_frames(frames: Iterable[int], limit: int = 8) -> str:
    """Return a short text for people, such as ``"1-4, 9, 12"``; at most ``limit`` parts."""
    return _format(((frame, frame) for frame in set(frames)), limit, more=False)


def format_ranges(runs: Iterable[range], limit: int = 8) -> str:
    """Return ranges as a text for people, such as "1-10, 12"."""
    spans: set[tuple[int, int]] = set()
    more = False
    for run in runs:
        upwards = run if run.step > 0 else run[::-1]
        if upwards.step == 1 or len(run) == 1:
            spans.add((upwards[0], upwards[-1]))
        else:
            spans.update((frame, frame) for frame in upwards[:_MOST_LOOKED_AT])
            more |= len(run) > _MOST_LOOKED_AT
    return _format(spans, limit, more)


def _format(spans: Iterable[tuple[int, int]], limit: int, more: bool) -> str:
    runs: list[list[int]] = []
    for first, last in sorted(spans):
        if runs and first <= runs[-1][1] + 1:
            runs[-1][1] = max(runs[-1][1], last)
        else:
            runs.append([first, last])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:limit]]
    return ", ".join(texts) + (", ..." if more or len(runs) > limit else "")
