"""Do the images that a job uses exist, or will a dependency render them? Pure."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

from farm.jobs.frames import Frames, FrameSet, format_ranges
from farm.products import FileNames, ImageSequence, SequenceError, marked, parse_sequence

_MOST_COMPARED = 500
"""Limit of names compared to find the nearest one: a project may have a hundred thousand files."""
_MOST_LOOKED = 100_000
"""Paths among which these are looked for."""
_LONGEST_COMPARED = 150
"""Characters of these: comparing takes the square of that, and more."""
_NEAR = 0.5
_MOST_NAMES = 100_000
"""Names of a job's files that are looked at where they are not simply those of the sequence."""
_MOST_MISSING = 1_000
"""Ranges of missing frames that are collected, to tell a few of them."""


class TooManyNamesError(Exception):
    """Too many names may be images of a submission."""


class Paths(Iterable[str], Protocol):
    """Remote paths, sorted."""

    def beginning(self, begin: str) -> Iterable[str]:
        """Return those that begin with a text."""


@dataclass(slots=True)
class Looks:
    """The lookups for all sequences of a submission.

    Attributes:
        left: names that may still be looked up.
    """

    left: int
    _found: dict[ImageSequence, list[int]] = field(default_factory=dict)

    def spend(self, names: int) -> None:
        """Count this many more names as examined. Raises TooManyNamesError."""
        self.left -= names
        if self.left < 0:
            raise TooManyNamesError

    def found(self, sequence: ImageSequence, there: Paths) -> list[int]:
        """Return the frames of which a file is there; of each sequence they are found once."""
        if sequence not in self._found:
            found = []
            for path in there.beginning(sequence.folder + sequence.head):
                self.spend(1)
                frame = sequence.frame(path)
                if frame is not None:
                    found.append(frame)
            self._found[sequence] = found
        return self._found[sequence]


@dataclass(frozen=True)
class Maker:
    """A job that another one needs.

    Attributes:
        folder: remote folder of its results.
        names: of the files that it will write, relative to the folder; None when only its scene
            knows them.
        frames: of which it will write a file.
        more: its scene may write others beside them: pictures of each view, and of nodes.
    """

    folder: str
    names: FileNames | None
    frames: Frames
    more: bool = False


def missing_images(
    sequence: ImageSequence,
    frames: Frames,
    there: Paths,
    makers: Sequence[Maker],
    looks: Looks,
    *,
    earlier: Callable[[ImageSequence], Mapping[int, str]],
    hints: bool = True,
) -> tuple[str, set[str]]:
    """Return what is missing of a sequence, as a message ("": nothing), and whose results it needs.

    These are jobs of earlier submissions. What they have rendered counts for images that are
    neither there nor rendered by a job that the job needs. Where such a job renders some, and no
    frames are asked for, the film is of these: what is left of an older version must not follow.

    Parameters:
        sequence: with a remote path in canonical form.
        frames: that are wanted of it; none for all that are there.
        there: remote paths of the files on the farm and of those to upload.
        makers: the jobs that the job needs.
        looks: of its submission.
        earlier: returns the frames of which earlier submissions have results, and their jobs.
        hints: whether to look for a name that is like the one that is missing, which takes a while.

    Raises:
        TooManyNamesError: the submission's sequences take too long.
    """
    if any(_may_write(maker, sequence) for maker in makers):
        return "", set()
    have = looks.found(sequence, there)
    made = [run for maker in makers for run in _made(sequence, maker, looks)]
    found = [range(frame, frame + 1) for frame in have] + made
    missing = _missing(frames, found)
    used: set[str] = set()
    if missing or not (frames or made):
        results = earlier(sequence)
        more = set(results).difference(have, *made)
        if frames:
            more.intersection_update(frames)
        used = {results[frame] for frame in more}
        found += [range(frame, frame + 1) for frame in more]
        missing = _missing(frames, found)
    if found and not missing:
        return "", used
    nobody = "nor rendered by a job that this one depends on" if makers else "nor on the farm"
    if found:
        message = (
            f"Images of '{sequence}' are neither among the files to upload {nobody}: frames"
            f" {format_ranges(missing)}."
        )
        return message, used
    first = [
        f"{maker.folder}/{maker.names.name(maker.frames[0])}" for maker in makers if maker.names
    ]
    near = _nearest(str(sequence), chain(first, islice(there, _MOST_LOOKED))) if hints else ""
    if near:
        hint = f"Did you mean '{near}'?"
    elif makers:
        hint = "Add its images with add_files."
    else:
        hint = "Add its images with add_files, or the job that renders them with add_dependencies."
    return f"'{sequence}' is neither among the files to upload {nobody}. {hint}", used


def _made(sequence: ImageSequence, maker: Maker, looks: Looks) -> Iterator[range]:
    """Yield the frames of the sequence that a job will write."""
    names = maker.names
    assert names is not None
    own = (f"{maker.folder}/{names.head}", names.digits, names.tail)
    if own == (sequence.folder + sequence.head, sequence.digits, sequence.tail):
        yield from maker.frames.runs
        return
    if not _may_meet(own, sequence):
        return
    # Other words for some of the same names, as "v1_" and "v1_####" are.
    looks.spend(min(len(maker.frames), _MOST_NAMES))
    for each in islice(maker.frames, _MOST_NAMES):
        frame = sequence.frame(f"{maker.folder}/{names.name(each)}")
        if frame is not None:
            yield range(frame, frame + 1)


def _may_meet(own: tuple[str, int, str], sequence: ImageSequence) -> bool:
    """Return whether a name may be both of a job's and of a sequence."""
    (head, _, tail), begin = own, sequence.folder + sequence.head
    heads = head.startswith(begin) or begin.startswith(head)
    return heads and (tail.endswith(sequence.tail) or sequence.tail.endswith(tail))


def _missing(wanted: Frames, found: Iterable[range]) -> list[range]:
    if not wanted:
        return []
    there = FrameSet(wanted.lowest, wanted.highest)
    for run in found:
        there.add(run)
    missing = chain.from_iterable(map(there.missing, wanted.runs))
    return list(islice(missing, _MOST_MISSING))


def _may_write(maker: Maker, sequence: ImageSequence) -> bool:
    """Return whether only a job's scene knows if it will write a sequence."""
    if not sequence.folder.startswith(f"{maker.folder}/"):
        return False
    if maker.names is None or not maker.more:
        return maker.names is None
    head, tail = f"{maker.folder}/{maker.names.head}", maker.names.tail
    # "frame_0001_L.png" of a view, and "frame_Beauty/Image0001.png" of a node.
    of_view = sequence.tail != tail and sequence.tail.endswith(tail)
    is_same = (sequence.folder + sequence.head, sequence.digits) == (head, maker.names.digits)
    of_node = sequence.folder.startswith(head) and len(sequence.folder) > len(head)
    return (is_same and of_view) or of_node


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
