"""The names that belong to the job itself: they say nothing about its renderer."""

import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import PurePosixPath

from farm_protocol.runner import RunnerJob
from pydantic import JsonValue

_HIDDEN = "\N{HORIZONTAL ELLIPSIS}"

_MOST_SECONDS = 10.0
"""Limit of processor time for all lines of a claim. A job may have a hundred thousand names, and a
scene may print them in every line.
"""
_LEAST = 4
"""Minimum length of a name. A shorter one cannot contain a symptom."""


class OwnNames:
    """Hides a job's names in lines, so that "License error.c4d" is no error."""

    def __init__(self, job: RunnerJob, project: str) -> None:
        """Search nothing yet: few lines need it.

        Parameters:
            project: the local folder of the staged files.
        """
        self._job, self._project = job, project
        self._seconds = 0.0

    def hide(self, line: str) -> str:
        """Return a line without these names; unchanged when that has cost too much already."""
        begin = time.thread_time()
        for name in self._names if self._seconds < _MOST_SECONDS else ():
            if name in line:
                line = line.replace(name, _HIDDEN)
        self._seconds += time.thread_time() - begin
        return line

    @cached_property
    def _names(self) -> list[str]:
        job = self._job
        names = {job.name, *_texts(job.parameters)}
        for path in (job.scene, job.output_folder, *(file.path for file in job.files)):
            names.update(_parts(path))
        paths = {f"{self._project}/{file.path}" for file in job.files}
        # A plain word may come from anywhere, unless it is part of a path.
        distinctive = {each for each in names if len(each) >= _LEAST and not each.isalpha()}
        return sorted(distinctive | paths, key=len, reverse=True)


def _parts(path: str) -> Iterator[str]:
    """Yield a remote path, with and without its project, and the names in it."""
    pure = PurePosixPath(path)
    yield path
    yield path.partition("/")[2]
    yield from pure.parts
    yield pure.stem


def _texts(values: JsonValue | Iterable[JsonValue]) -> Iterator[str]:
    match values:
        case str():
            yield from _parts(values)
        case dict():
            yield from _texts([*values.values()])
        case list():
            for value in values:
                yield from _texts(value)
