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
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Literal

from farm_protocol.jobs import JobSpec, Submission, SubmissionSpec
from farm_protocol.paths import canonical
from sqlalchemy import Connection

from farm.catalogue.definitions import Definitions
from farm.confine.readers import DEFAULT, Readers
from farm.db import files, job_warnings
from farm.db.engine.database import Database
from farm.errors import InvalidRequestError, UnavailableError
from farm.products import SceneFormat
from farm.scenes.blend_assets import AssetKind, MissingAsset, is_blend
from farm.scenes.traces import Files, Traced, Traces
from farm.stores.lending import lent
from farm.stores.port import Store
from farm.submissions.beside import Beside

Mode = Literal["refuse", "warn", "off"]

MOST_NAMED = 10
"""So many missing files the warnings of a job name; the others only count."""

LONGEST_WAIT = 45.0
"""Seconds that a submission waits for an answer where it may be refused; its sender waits for a
minute. The answer is kept for when it is sent again."""

_MOST_MANIFESTS = 2

_Asked = dict["Future[Traced]", list[int]]
"""The answer for a scene, and the positions of the jobs that render it."""


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
        self._traces, self._scratch = Traces(readers), readers.scratch
        self._beside = Beside("assets")
        self._reading = threading.Lock()
        # The manifests that were read last: {path: hash}, by project and the time of its change.
        self._manifests: OrderedDict[tuple[str, datetime], dict[str, str]] = OrderedDict()

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
        errors = {}
        until = time.monotonic() + LONGEST_WAIT
        for answer, positions in self._ask(account_id, spec).items():
            try:
                traced = answer.result(max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise UnavailableError(
                    "The scenes are still being looked through for missing files. Try again later."
                ) from None
            for index in positions:
                lacking = _lacking(spec, spec.jobs[index], traced)
                # Caches that were never baked are named like those that were.
                certain = [asset for asset in lacking if asset.kind is not AssetKind.CACHE]
                if certain:
                    errors[f"jobs[{index}].path"] = _messages(certain, len(certain), traced.more)
        if errors:
            raise InvalidRequestError(errors)

    def expect(self, account_id: str, spec: SubmissionSpec) -> None:
        """A submission is likely soon: begin to look, and do not wait."""
        if self._mode == "warn":
            about = ("expected", spec.project)
            self._beside.soon(
                account_id, about, _size(spec), lambda: self._expect(account_id, spec)
            )

    def note(self, account_id: str, spec: SubmissionSpec, submission: Submission) -> None:
        """Warn the jobs of a new submission about what they lack, as soon as that is known.

        One that many others of its account follow at once gets no warnings.
        """
        if self._mode != "off":
            about = ("submitted", submission.id)
            ids = {job.client_id: job.id for job in submission.jobs}
            self._beside.soon(
                account_id, about, _size(spec), lambda: self._note(account_id, spec, ids)
            )

    def _expect(self, account_id: str, spec: SubmissionSpec) -> None:
        self._ask(account_id, spec)

    def _note(self, account_id: str, spec: SubmissionSpec, ids: dict[str, str]) -> None:
        for answer, positions in self._ask(account_id, spec).items():
            jobs = [(ids[spec.jobs[index].id], spec.jobs[index]) for index in positions]

            def warn(done: "Future[Traced]", jobs: list[tuple[str, JobSpec]] = jobs) -> None:
                traced = done.result()
                self._warn({job_id: _warnings(spec, job, traced) for job_id, job in jobs})

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

    def _ask(self, account_id: str, spec: SubmissionSpec) -> _Asked:
        pending = {path.removeprefix("/") for path in spec.pending_files}
        if any(is_blend(path) for path in pending):
            return {}  # What they will need, nobody knows yet.
        scenes = self._scenes(spec)
        if not scenes:
            return {}
        hashes = dict.fromkeys(pending, "") | self._manifest(account_id, spec.project)
        known = Files(account_id, hashes, partial(lent, self._store, account_id, self._scratch))
        key = known.key()
        asked: _Asked = {}
        for index, scene in scenes.items():
            if scene in hashes:
                asked.setdefault(self._traces.ask(scene, known, key), []).append(index)
        return asked

    def _manifest(self, account_id: str, name: str) -> dict[str, str]:
        """Return the hash of each file of a project, read only once for each of its versions."""
        with self._reading, self._database.read() as connection:
            version = files.project_version(connection, account_id, name)
            if version is None:
                return {}
            if version not in self._manifests:
                self._manifests[version] = files.hashes(connection, version[0])
            self._manifests.move_to_end(version)
            if len(self._manifests) > _MOST_MANIFESTS:
                self._manifests.popitem(last=False)
            return self._manifests[version]

    def _scenes(self, spec: SubmissionSpec) -> dict[int, str]:
        """Return the remote path of the scene of each job that is a .blend, by its position."""
        scenes = {}
        for index, job in enumerate(spec.jobs):
            template = self._definitions.template(job.app, job.operation)
            if template and template.scene is SceneFormat.BLEND:
                scenes[index] = canonical(job.path)
        return scenes


def _size(spec: SubmissionSpec) -> int:
    return len(spec.jobs) + len(spec.pending_files)


def _lacking(spec: SubmissionSpec, job: JobSpec, traced: Traced) -> list[MissingAsset]:
    """Return what a job lacks, each file once."""
    # What a job waits for may write the files that it needs.
    coming = f"{spec.output_folder}/" if job.dependencies else None
    found: dict[str, MissingAsset] = {}
    for asset in traced.missing:
        if not (coming and asset.expected and asset.expected.startswith(coming)):
            found.setdefault(asset.expected or asset.path, asset)
    return list(found.values())


def _warnings(spec: SubmissionSpec, job: JobSpec, traced: Traced) -> list[str]:
    if traced.failure:
        return [traced.failure]
    return _messages(_lacking(spec, job, traced), MOST_NAMED, traced.more)


def _messages(assets: list[MissingAsset], most: int, more: int) -> list[str]:
    told = [str(asset) for asset in assets[:most]]
    left = len(assets) - len(told) + more
    if left:
        told.append("1 more file is missing." if left == 1 else f"{left} more files are missing.")
    return told
