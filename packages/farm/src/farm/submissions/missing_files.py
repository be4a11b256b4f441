"""Searches the scenes of a submission for files that are missing, according to FARM_MISSING_FILES.

======  ==============================================================================
refuse  the submission waits for the result, and is refused if a file is missing
warn    the submission is accepted at once; its jobs get warnings when the result is known
off     nothing is searched
======  ==============================================================================

A search takes a process and from 0.3 seconds to minutes, which is too long to delay the first
frame. Its result is only a hint (see `farm.scenes.blend_assets`), so by default nothing is refused.
A scene that cannot be read is never refused for that reason.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Literal

from farm_protocol.jobs import Submission, SubmissionSpec
from farm_protocol.path_maps import is_map
from farm_protocol.paths import canonical
from sqlalchemy import Connection

from farm.catalogue.definitions import Definitions
from farm.confine.readers import DEFAULT, Readers
from farm.db import job_warnings, projects
from farm.db.engine.database import Database
from farm.errors import InvalidRequestError, UnavailableError
from farm.products import SceneFormat
from farm.scenes.blend_assets import AssetKind, MissingAsset, is_blend
from farm.scenes.traces import Files, Traced, Traces
from farm.stores.lending import lent
from farm.stores.port import Store
from farm.submissions.beside import Beside
from farm.submissions.project_files import ProjectFiles

Mode = Literal["refuse", "warn", "off"]

MOST_NAMED = 10
"""Number of missing files that a job's warnings name; the others are counted."""

LONGEST_WAIT = 45.0
"""Seconds that a submission waits for a result if it may be refused; its client waits for a minute.
The result is kept, in case the submission is sent again."""

_MOST_REFUSED = 1000
"""Number of missing files that a refusal names for all jobs; after that, `MOST_NAMED` per job."""

_MOST_KEYS = 16

_Asked = dict["Future[Traced]", list[int]]
"""Future result of a scene -> positions of the jobs that render it."""


@dataclass(frozen=True, slots=True)
class _Question:
    """The parts of a submission that are needed for the search; the rest is not kept.

    Attributes:
        project: name of the project.
        scenes: position of a job -> remote path of its scene, for .blend files.
        results: position of a job -> results folder, for jobs with dependencies: these may write
            the files that it needs.
        pending: remote paths of files that are yet to be uploaded.
    """

    project: str
    scenes: Mapping[int, str]
    results: Mapping[int, str]
    pending: frozenset[str]

    @property
    def size(self) -> int:
        """Approximate number of characters in it."""
        paths = (*self.scenes.values(), *self.pending)
        return sum(_ITEM + len(path) for path in paths)


_ITEM = 100
"""Overhead of a text, in characters."""


class AssetChecks:
    """Searches the scenes of submissions for missing files. Thread-safe."""

    def __init__(
        self,
        database: Database,
        store: Store,
        definitions: Definitions,
        mode: Mode,
        changed: Callable[[], None],
        readers: Readers = DEFAULT,
    ) -> None:
        """Prepare.

        Parameters:
            definitions: the catalogue, with the operations' templates.
            mode: FARM_MISSING_FILES.
            changed: called after jobs have got warnings.
            readers: runs the processes that read scenes.
        """
        self._database, self._store, self._changed = database, store, changed
        self._definitions, self._mode = definitions, mode
        self._traces, self._readers = Traces(readers), readers
        self._beside = Beside("assets")
        self._reading = threading.Lock()
        # Keys of the versions of projects that were used last.
        self._keys: OrderedDict[projects.ProjectRow, str] = OrderedDict()

    @property
    def refuses(self) -> bool:
        """Whether `require` may refuse anything."""
        return self._mode == "refuse"

    def require(self, account_id: str, spec: SubmissionSpec) -> None:
        """Refuse a submission with missing files, if so configured. Blocks until that is known.

        Parameters:
            spec: was accepted by `farm.submissions.create.check`.

        Raises:
            InvalidRequestError: names the files under ``jobs[i].path``.
            UnavailableError: the search takes too long.
        """
        if not self.refuses:
            return
        errors: dict[str, list[str]] = {}
        left = _MOST_REFUSED
        until = time.monotonic() + LONGEST_WAIT
        question = self._question(spec)
        for answer, positions in self._ask(account_id, question).items():
            try:
                traced = answer.result(max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise UnavailableError(
                    "The scenes are still being checked for missing files. Try again later."
                ) from None
            for index in positions:
                lacking = _lacking(traced, question.results.get(index))
                # A missing cache may never have been baked.
                certain = [asset for asset in lacking if asset.kind is not AssetKind.CACHE]
                if certain:
                    messages = _messages(certain, max(MOST_NAMED, left), traced.more)
                    errors[f"jobs[{index}].path"] = messages
                    left -= len(messages)
        if errors:
            raise InvalidRequestError(errors)

    def expect(self, account_id: str, spec: SubmissionSpec) -> None:
        """Start searching in advance, since a submission is expected. Does not block."""
        if self._mode == "warn":
            about, question = ("expected", spec.project), self._question(spec)
            self._beside.soon(
                account_id, about, question.size, lambda: self._expect(account_id, question)
            )

    def note(self, account_id: str, spec: SubmissionSpec, submission: Submission) -> None:
        """Add warnings about missing files to the jobs of a new submission, once these are known.

        If many further submissions of the account follow at once, this one gets no warnings.
        """
        if self._mode != "off":
            about, question = ("submitted", submission.id), self._question(spec)
            ids = {job.client_id: job.id for job in submission.jobs}
            of_jobs = [ids[job.id] for job in spec.jobs]
            self._beside.soon(
                account_id, about, question.size, lambda: self._note(account_id, question, of_jobs)
            )

    def _expect(self, account_id: str, question: _Question) -> None:
        self._ask(account_id, question)

    def _note(self, account_id: str, question: _Question, ids: Sequence[str]) -> None:
        for answer, positions in self._ask(account_id, question).items():
            jobs = [(ids[index], question.results.get(index)) for index in positions]

            def warn(done: "Future[Traced]", jobs: list[tuple[str, str | None]] = jobs) -> None:
                traced = done.result()
                self._warn({job_id: _warnings(traced, results) for job_id, results in jobs})

            answer.add_done_callback(warn)

    def _warn(self, warnings: dict[str, list[str]]) -> None:
        warnings = {job_id: texts for job_id, texts in warnings.items() if texts}
        if not warnings:
            return

        def add(connection: Connection, job_ids: list[str]) -> None:
            for job_id in job_ids:
                job_warnings.add(connection, job_id, warnings[job_id])

        self._database.write_in_portions(list(warnings), add)
        self._changed()

    def _ask(self, account_id: str, question: _Question) -> _Asked:
        if any(is_blend(path) or is_map(path) for path in question.pending):
            return {}  # The files that these scenes need are not known yet.
        if not question.scenes:
            return {}
        project = self._project(account_id, question.project)
        if project is None:
            return {}
        hashes = ProjectFiles(self._database, project.id, question.pending)
        copies = self._readers.scratch, self._readers.check
        known = Files(account_id, hashes, partial(lent, self._store, account_id, *copies))
        there = {scene: scene in hashes for scene in set(question.scenes.values())}
        if not any(there.values()):
            return {}
        # Without pending files, of which there may be as many as the project has: not kept as a
        # key.
        key = self._key(project if not question.pending else None, known)
        asked: _Asked = {}
        for index, scene in question.scenes.items():
            if there[scene]:
                asked.setdefault(self._traces.ask(scene, known, key), []).append(index)
        return asked

    def _project(self, account_id: str, name: str) -> projects.ProjectRow | None:
        with self._database.read() as connection:
            return projects.find(connection, account_id, name)

    def _key(self, version: projects.ProjectRow | None, files: Files) -> str:
        """Return the key of a project's files, computed once per version; None: not cached."""
        with self._reading:
            found = (version and self._keys.get(version)) or files.key()
            if version:
                self._keys[version] = found
                self._keys.move_to_end(version)
            if len(self._keys) > _MOST_KEYS:
                self._keys.popitem(last=False)
            return found

    def _question(self, spec: SubmissionSpec) -> _Question:
        scenes, results = {}, {}
        for index, job in enumerate(spec.jobs):
            template = self._definitions.template(job.app, job.operation)
            if template and template.scene is SceneFormat.BLEND:
                scenes[index] = canonical(job.path)
                if job.dependencies:
                    results[index] = spec.output_folder
        pending = frozenset(path.removeprefix("/") for path in spec.pending_files)
        return _Question(spec.project, scenes, results, pending)


def _lacking(traced: Traced, results: str | None) -> list[MissingAsset]:
    """Return the files that a job lacks, without duplicates.

    Parameters:
        results: folder into which its dependencies write; None if it has none.
    """
    found: dict[str, MissingAsset] = {}
    for asset in traced.missing:
        if not (results and asset.expected and asset.expected.startswith(f"{results}/")):
            found.setdefault(asset.expected or asset.path, asset)
    return list(found.values())


def _warnings(traced: Traced, results: str | None) -> list[str]:
    if traced.failure:
        return [traced.failure]
    messages = _messages(_lacking(traced, results), MOST_NAMED, traced.more)
    if traced.unknown:
        messages.append(
            f"Not looked for, since it would have taken too long: {traced.unknown} of the files"
            " that the scene names."
        )
    return messages


def _messages(assets: list[MissingAsset], most: int, more: int) -> list[str]:
    messages = [str(asset) for asset in assets[:most]]
    left = len(assets) - len(messages) + more
    if left:
        messages.append(
            "1 more file is missing." if left == 1 else f"{left} more files are missing."
        )
    return messages
