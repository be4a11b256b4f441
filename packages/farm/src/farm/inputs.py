"""Are the images that a job works on there, or will a job that it needs render them? Pure."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from farm.jobs.frames import format_frames
from farm.templates import ImageSequence, SequenceError, marked, parse_sequence

_MOST_COMPARED = 500
"""Names that are compared for the nearest one: a project may have a hundred thousand files."""
_LONGEST_COMPARED = 150
"""Characters of these: comparing takes the square of that, and more."""
_NEAR = 0.5


@dataclass(frozen=True)
class Maker:
    """A job that another one needs.

    Attributes:
        folder: remote folder of its results.
        files: that it will write, relative to the folder; empty when only its scene knows them.
    """

    folder: str
    files: Collection[str]

    def paths(self) -> list[str]:
        """Return the remote paths of its files."""
        return [f"{self.folder}/{name}" for name in self.files]


def missing_images(
    sequence: ImageSequence, frames: Sequence[int], there: Iterable[str], makers: Sequence[Maker]
) -> str:
    """Return what is missing of a sequence, as a sentence; "" when nothing is.

    Parameters:
        sequence: with a remote path in canonical form.
        frames: that are wanted of it; none for all that are there.
        there: remote paths of the files on the farm and of those to upload.
        makers: the jobs that the job needs.
    """
    if any(not maker.files and _lies_in(sequence, maker.folder) for maker in makers):
        return ""
    paths = [path for maker in makers for path in sorted(maker.paths())]
    paths += there
    found = {sequence.frame(path) for path in paths}
    found.discard(None)
    missing = [frame for frame in frames if frame not in found]
    if found and not missing:
        return ""
    nobody = "nor rendered by a job that this one depends on" if makers else "nor on the farm"
    if found:
        return (
            f"Images of '{sequence}' are neither among the files to upload {nobody}: frames"
            f" {format_frames(missing)}."
        )
    near = _nearest(str(sequence), paths)
    if near:
        hint = f"Did you mean '{near}'?"
    elif makers:
        hint = "Add its images with add_files."
    else:
        hint = "Add its images with add_files, or the job that renders them with add_dependencies."
    return f"'{sequence}' is neither among the files to upload {nobody}. {hint}"


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
