"""Are the images that a job works on there, or will a job that it needs render them? Pure."""

import difflib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from farm.jobs.frames import Frames, FrameSet, format_ranges
from farm.products import FileNames, ImageSequence, SequenceError, marked, parse_sequence

_MOST_COMPARED = 500
"""Names that are compared for the nearest one: a project may have a hundred thousand files."""
_LONGEST_COMPARED = 150
"""Characters of these: comparing takes the square of that, and more."""
_NEAR = 0.5
_MOST_NAMES = 100_000
"""Names of a job's files that are looked at where they are not simply those of the sequence."""
_MOST_MISSING = 1_000
"""Ranges of missing frames that are collected, to tell a few of them."""


@dataclass(frozen=True)
class Maker:
    """A job that another one needs.

    Attributes:
        folder: remote folder of its results.
        names: of the files that it will write, relative to the folder; None when only its scene
            knows them.
        frames: of which it will write a file.
    """

    folder: str
    names: FileNames | None
    frames: Frames


def missing_images(
    sequence: ImageSequence,
    frames: Frames,
    there: Sequence[str],
    makers: Sequence[Maker],
    *,
    hints: bool = True,
) -> str:
    """Return what is missing of a sequence, as a message; "" when nothing is.

    Parameters:
        sequence: with a remote path in canonical form.
        frames: that are wanted of it; none for all that are there.
        there: remote paths of the files on the farm and of those to upload, sorted.
        makers: the jobs that the job needs.
        hints: whether to look for a name that is like the one that is missing, which takes a while.
    """
    if any(maker.names is None and _lies_in(sequence, maker.folder) for maker in makers):
        return ""
    found = [range(frame, frame + 1) for frame in _found(sequence, there)]
    found += [run for maker in makers for run in _made(sequence, maker)]
    missing = _missing(frames, found)
    if found and not missing:
        return ""
    nobody = "nor rendered by a job that this one depends on" if makers else "nor on the farm"
    if found:
        return (
            f"Images of '{sequence}' are neither among the files to upload {nobody}: frames"
            f" {format_ranges(missing)}."
        )
    made = [
        f"{maker.folder}/{maker.names.name(maker.frames[0])}" for maker in makers if maker.names
    ]
    near = _nearest(str(sequence), chain(made, there)) if hints else ""
    if near:
        hint = f"Did you mean '{near}'?"
    elif makers:
        hint = "Add its images with add_files."
    else:
        hint = "Add its images with add_files, or the job that renders them with add_dependencies."
    return f"'{sequence}' is neither among the files to upload {nobody}. {hint}"


def _found(sequence: ImageSequence, there: Sequence[str]) -> Iterator[int]:
    """Yield the frames of which a file is there."""
    begin = sequence.folder + sequence.head
    for place in range(bisect_left(there, begin), len(there)):
        if not there[place].startswith(begin):
            return
        frame = sequence.frame(there[place])
        if frame is not None:
            yield frame


def _made(sequence: ImageSequence, maker: Maker) -> Iterator[range]:
    """Yield the frames of the sequence that a job will write."""
    names = maker.names
    assert names is not None
    own = (f"{maker.folder}/{names.head}", names.digits, names.tail)
    if own == (sequence.folder + sequence.head, sequence.digits, sequence.tail):
        yield from maker.frames.runs
        return
    # Other words for some of the same names, as "v1_" and "v1_####" are.
    for each in islice(maker.frames, _MOST_NAMES):
        frame = sequence.frame(f"{maker.folder}/{names.name(each)}")
        if frame is not None:
            yield range(frame, frame + 1)


def _missing(wanted: Frames, found: Iterable[range]) -> list[range]:
    if not wanted:
        return []
    there = FrameSet(wanted.lowest, wanted.highest)
    for run in found:
        there.add(run)
    missing = chain.from_iterable(map(there.missing, wanted.runs))
    return list(islice(missing, _MOST_MISSING))


def _lies_in(sequence: ImageSequence, folder: str) -> bool:
    return sequence.folder.startswith(f"{folder}/")


def _nearest(wanted: str, paths: Iterable[str]) -> str:
    """Return the sequence whose name is the most like the wanted one; "" when none is."""
    known: dict[str, None] = {}
    if len(wanted) > _LONGEST_COMPARED:
        return ""
    for path in paths:
        if len(known) == _MOST_COMPARED:
            break
        name = marked(path)
        if name not in known and len(name) <= _LONGEST_COMPARED and _is_sequence(name):
            known[name] = None
    return next(iter(difflib.get_close_matches(wanted, known, 1, _NEAR)), "")


def _is_sequence(path: str) -> bool:
    try:
        parse_sequence(path)
    except SequenceError:
        return False
    return True
