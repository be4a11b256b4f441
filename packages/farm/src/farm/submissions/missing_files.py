"""Do the scenes of a submission have their files? As FARM_MISSING_FILES says.

======  ============================================================================
refuse  a submission that lacks a file is refused; waits for the answer
warn    it is accepted at once; its jobs are warned as soon as the answer is there
off     nobody looks
======  ============================================================================

Looking takes a process and 0.3 seconds, or minutes: more than a first frame should wait for. What
is found is a hint (see `farm.scenes.blend_assets`), so nothing is refused unless the farm is told
to. A scene that cannot be looked through is never refused for that.
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
"""So many missing files the warnings of a job name; the others only count."""

LONGEST_WAIT = 45.0
"""Seconds that a submission waits for an answer where it may be refused; its sender waits for a
minute. The answer is kept for when it is sent again."""

_MOST_REFUSED = 1000
"""Missing files that a refusal names, for all jobs; any job beyond names `MOST_NAMED`."""

_MOST_KEYS = 16

_Asked = dict["Future[Traced]", list[int]]
"""The answer for a scene, and the positions of the jobs that render it."""


@dataclass(frozen=True, slots=True)
class _Question:
    """The parts of a submission needed to find its files; nothing else of it is kept.

    Attributes:
        project: its name.
        scenes: remote paths of the scenes that are .blend files, by the positions of their jobs.
        results: the folder of its results, for each job that waits for others, by its position:
            what it waits for may write the files that it needs.
        pending: remote paths of files that are still to be sent.
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
    """Looks for the files of submissions. May be used from any thread."""

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
            definitions: say which template an operation has.
            changed: is called whenever jobs have got warnings.
            readers: of the processes that read scenes.
        """
        self._database, self._store, self._changed = database, store, changed
        self._definitions, self._mode = definitions, mode
        self._traces, self._readers = Traces(readers), readers
        self._beside = Beside("assets")
        self._reading = threading.Lock()
        # Of the versions of projects that were gone through last.
        self._keys: OrderedDict[projects.ProjectRow, str] = OrderedDict()

    @property
    def refuses(self) -> bool:
        """Whether `require` may refuse anything."""
        return self._mode == "refuse"

    def require(self, account_id: str, spec: SubmissionSpec) -> None:
        """Refuse a submission whose scenes lack files. Blocks until that is known.

        Parameters:
            spec: one that `farm.submissions.create.check` accepts.

        Raises:
            InvalidRequestError: names the files under ``jobs[i].path``.
            UnavailableError: it takes too long.
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
                # Caches that were never baked have the same names as baked ones.
                certain = [asset for asset in lacking if asset.kind is not AssetKind.CACHE]
                if certain:
                    messages = _messages(certain, max(MOST_NAMED, left), traced.more)
                    errors[f"jobs[{index}].path"] = messages
                    left -= len(messages)
        if errors:
            raise InvalidRequestError(errors)

    def expect(self, account_id: str, spec: SubmissionSpec) -> None:
        """A submission is likely soon: start looking, without waiting."""
        if self._mode == "warn":
            about, question = ("expected", spec.project), self._question(spec)
            self._beside.soon(
                account_id, about, question.size, lambda: self._expect(account_id, question)
            )

    def note(self, account_id: str, spec: SubmissionSpec, submission: Submission) -> None:
        """Warn the jobs of a new submission about missing files, as soon as these are known.

        One that many others of its account follow at once gets no warnings.
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
            return {}  # Their needs are not known yet.
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
        # What is still to be sent may be as much as the project.
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
        """Return the key of a project's files; computed only once for each of its versions."""
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
    """Return the files that a job lacks, each once.

    Parameters:
        results: folder in which other jobs write what it needs; None: it waits for none.
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
