"""Would two jobs of a submission write the same file? Pure: names and ranges, no list of files.

They share a folder, so one would silently replace the other's file. Some file systems treat "A" and
"a" as the same name.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from farm.jobs.frames import Frames, FrameSet
from farm.products import FileNames

_MOST_COMPARED = 100_000
"""Names that are compared one by one. Beyond that only runners find out, as they do for jobs whose
file names only their scenes know.
"""

_NUMBER = "-0123456789"


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a job."""

    names: FileNames
    frames: Frames


@dataclass(frozen=True, slots=True)
class Clash:
    """Two jobs, by position; the second one would write a file of the first."""

    first: int
    second: int
    name: str


def clashes(jobs: Sequence[Written | None]) -> list[Clash]:
    """Return which jobs write a file of an earlier one: one clash for each such job, in order.

    Parameters:
        jobs: in their order; None where the files are unknown.
    """
    alike: dict[FileNames, list[int]] = defaultdict(list)
    for place, job in enumerate(jobs):
        if job is not None:
            alike[_folded(job.names)].append(place)
    found: dict[int, Clash] = {}
    for clash in (*_same_names(jobs, alike), *_clashes_of_similar(jobs, alike)):
        found.setdefault(clash.second, clash)
    return [found[place] for place in sorted(found)]


def _folded(names: FileNames) -> FileNames:
    return FileNames(names.head.casefold(), names.digits, names.tail.casefold())


def _same_names(
    jobs: Sequence[Written | None], alike: dict[FileNames, list[int]]
) -> Iterator[Clash]:
    """Yield the clashes of jobs whose file names have the same form."""
    for names, places in alike.items():
        if len(places) < 2:
            continue
        if not names.digits:
            yield from (Clash(places[0], each, names.head) for each in places[1:])
            continue
        lists = [job.frames for each in places if (job := jobs[each]) is not None]
        seen = FrameSet(min(each.lowest for each in lists), max(each.highest for each in lists))
        for i, frames in enumerate(lists):
            common = next((part for run in frames.runs for part in seen.common(run)), None)
            if common is not None:
                first = next(k for k in range(i) if any(common[0] in run for run in lists[k].runs))
                job = jobs[places[i]]
                assert job is not None
                yield Clash(places[first], places[i], job.names.name(common[0]))
            for run in frames.runs:
                seen.add(run)


def _clashes_of_similar(
    jobs: Sequence[Written | None], alike: dict[FileNames, list[int]]
) -> Iterator[Clash]:
    """Yield the clashes of forms of names that may overlap, as ``a0####`` and ``a#####`` do."""
    ordered = sorted(alike, key=lambda names: (names.head, names.tail, names.digits))
    left = _MOST_COMPARED
    for i, names in enumerate(ordered):
        for other in islice(ordered, i + 1, None):
            if not other.head.startswith(names.head):
                break
            if not _may_meet(names, other):
                continue
            for first in alike[names]:
                for second in alike[other]:
                    one, two = jobs[first], jobs[second]
                    assert one is not None
                    assert two is not None
                    left -= min(len(one.frames), len(two.frames))
                    if left < 0:
                        return
                    if name := _shared_name(one, two):
                        yield Clash(min(first, second), max(first, second), name)


def _may_meet(names: FileNames, other: FileNames) -> bool:
    """Return whether two forms of names can have a name in common. The first head begins the
    second.
    """
    if not names.digits:
        return False  # A whole name, which the other one is longer than.
    if not other.digits:
        return other.head.endswith(names.tail)
    between = other.head[len(names.head) :]
    longer, shorter = sorted((names.tail, other.tail), key=len, reverse=True)
    behind = longer[: len(longer) - len(shorter)]
    # The part that only one of them has must be part of the other's number.
    return (
        longer.endswith(shorter)
        and between[:1] in _NUMBER
        and (not behind or behind[-1] in _NUMBER)
    )


def _shared_name(one: Written, two: Written) -> str:
    """Return a name that both write; "" when there is none."""
    few, many = sorted((one, two), key=lambda each: len(each.frames))
    if not many.names.digits:
        few, many = many, few
    folded = _folded(many.names)
    there = FrameSet(many.frames.lowest, many.frames.highest)
    for run in many.frames.runs:
        there.add(run)
    for frame in few.frames:
        name = few.names.name(frame)
        number = folded.frame(name.casefold())
        if number is not None and next(there.common(range(number, number + 1)), None):
            return name
    return ""
