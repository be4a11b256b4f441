"""Jobs of this Envoy's projects: how they stand, their logs and results, and acting on them."""

from collections.abc import Iterable
from pathlib import Path

from farm_protocol.changes import Output
from farm_protocol.errors import STATUS, ErrorBody, ErrorCode
from farm_protocol.frames import FrameList
from farm_protocol.jobs import Job, JobLog, JobSpec, SubmissionSpec
from farm_protocol.text import Id
from pydantic import TypeAdapter, ValidationError

from envoy.errors import FarmAnswerError, NotOnFarmError
from envoy.farm.answers import Room
from envoy.farm.client import FarmClient
from envoy.journal import DownloadState, Entry, EntryState, Journal
from envoy.process.threads import in_thread
from envoy.upload.worker import Uploader
from envoy.views.own import JobView, ResultState, ResultView
from envoy.watch.match import unusable

_Where = tuple[ResultState, Path | None]
"""Of a result: its state, and the local file that it is or becomes; None: it is on the farm."""

_FARM_ID: TypeAdapter[str] = TypeAdapter(Id)
_RESULT_STATES = {
    DownloadState.PENDING: ResultState.WAITING,
    DownloadState.DONE: ResultState.DOWNLOADED,
    DownloadState.REPLACED: ResultState.REMOTE,
    DownloadState.FAILED: ResultState.FAILED,
}


class Jobs:
    """Answers from the journal where it knows, and asks the farm for the rest.

    A job is named by the farm's id or by the id that the client gave it (``Job.id``).
    """

    def __init__(self, journal: Journal, farm: FarmClient, uploader: Uploader) -> None:
        self._journal = journal
        self._farm = farm
        self._uploader = uploader

    async def of_project(self, project: str) -> list[JobView]:
        """Return the jobs of a project, newest submission first; none for an unknown project."""
        return await in_thread(self._of_project, project)

    async def act(self, job_id: str, action: str) -> JobView:
        """Stop, suspend, resume or retry a job; returns how it stands then.

        To stop a job whose files are still being uploaded stops its submission.

        Raises:
            NotOnFarmError: it is still being submitted, or uploaded and not to be stopped.
            FarmAnswerError: there is no such job, or the action makes no sense now.
        """
        entry = await in_thread(self._uploading, job_id) if action == "stop" else None
        if entry and await self._uploader.cancel(entry):
            return await in_thread(self._one_of, entry.id, job_id)
        return shown(await self._farm.act(await in_thread(self._farm_id, job_id), action))

    def _one_of(self, entry_id: str, job_id: str) -> JobView:
        entry = self._journal.submissions.get(entry_id)
        assert entry is not None
        return next(job for job in jobs_of(self._journal, entry) if job.id == job_id)

    async def stop_uploads(self, project: str) -> int:
        """Stop all uploads of a project that still run; returns how many these were."""
        entries = await in_thread(self._journal.submissions.of_project, project)
        uploading = [entry for entry in entries if entry.state is EntryState.UPLOADING]
        return sum([await self._uploader.cancel(entry) for entry in uploading])

    async def log(self, job_id: str, after: int) -> JobLog:
        """Return the next piece of a job's log. Raises as `act`."""
        return await self._farm.job_log(await in_thread(self._farm_id, job_id), after)

    async def frames(self, job_id: str, after: int | None, *, flagged: bool) -> FrameList:
        """Return the next page of a job's frames. Raises as `act`."""
        return await self._farm.frames(
            await in_thread(self._farm_id, job_id), after, flagged=flagged
        )

    async def results(self, project: str) -> list[ResultView]:
        """Return the result files of a project, newest submission first, and where each is."""
        found: list[ResultView] = []
        room = Room("results")
        for entry in await in_thread(self._submissions, project):
            downloads, jobs = await in_thread(self._known_of, entry)
            for job in jobs:
                for output in await self._farm.outputs(job.id, room):
                    found.append(_result(entry, output, *downloads.get(_key(output), _ON_FARM)))
        return found

    def _known_of(self, entry: Entry) -> tuple[dict[tuple[str, str], _Where], list[Job]]:
        downloads: dict[tuple[str, str], _Where] = {
            (each.hash, _remote(entry, each.relative)): (
                _RESULT_STATES[each.state],
                Path(each.folder, each.relative),
            )
            for each in self._journal.downloads.of_entry(entry.id)
        }
        return downloads, self._journal.submissions.jobs(entry.id)

    def _submissions(self, project: str) -> list[Entry]:
        return [entry for entry in self._journal.submissions.of_project(project) if entry.spec]

    def _of_project(self, project: str) -> list[JobView]:
        found: list[JobView] = []
        for entry in self._submissions(project):
            found += jobs_of(self._journal, entry)
        return found

    def _farm_id(self, job_id: str) -> str:
        known = self._journal.submissions.farm_id(job_id)
        if known:
            return known
        if entry := self._uploading(job_id):
            raise NotOnFarmError(
                f"The job is not on the farm yet: '{entry.project}' is still"
                f" {entry.state.value}. Try again when that is done."
            )
        try:
            # Perhaps a job that another Envoy of the same user has submitted.
            return _FARM_ID.validate_python(job_id)
        except ValidationError:
            body = ErrorBody(code=ErrorCode.NOT_FOUND, message=f"There is no job '{job_id}'.")
            raise FarmAnswerError(STATUS[ErrorCode.NOT_FOUND], body) from None

    def _uploading(self, job_id: str) -> Entry | None:
        """Return the unfinished entry that a job is of, the newest one; None when there is none."""
        unfinished = reversed(self._journal.submissions.unfinished())
        return next((e for e in unfinished if any(job.id == job_id for job in _spec_jobs(e))), None)


def jobs_of(journal: Journal, entry: Entry) -> list[JobView]:
    """Return a submission's jobs, as the farm last told or, before that, as they were given."""
    if entry.state is EntryState.SUBMITTED:
        return [shown(job) for job in journal.submissions.jobs(entry.id)]
    return [
        JobView(
            id=job.id,
            name=job.name,
            app=job.app,
            app_version=job.app_version,
            operation=job.operation,
            state=entry.state,
            message=entry.message,
            reason=entry.reason,
            # The check's are the submission's: it does not say which job they are about.
            warnings=[],
            frames_done=0,
            frames_failed=0,
            frames_flagged=0,
            frames_total=0,
            credits=0.0,
            submission=entry.name,
        )
        for job in _spec_jobs(entry)
    ]


_MOST_NAMED = 3


def warnings_of(journal: Journal, entry: Entry, jobs: Iterable[JobView]) -> list[str]:
    """Return what is known to look wrong about a submission and its jobs, each message once."""
    watches = unusable(entry.output_folder, journal.submissions.watches(entry.id))
    of_jobs = (warning for job in jobs for warning in job.warnings)
    found = [*entry.warnings, *watches, *_replaced(journal, entry), *of_jobs]
    return list(dict.fromkeys(found))


def _replaced(journal: Journal, entry: Entry) -> list[str]:
    """Return a message if others took the place of results that only the farm has therefore."""
    names = journal.downloads.replaced(entry.id, _MOST_NAMED + 1)
    if not names:
        return []
    named = ", ".join(names[:_MOST_NAMED]) + (" ..." if len(names) > _MOST_NAMED else "")
    return [
        "Not downloaded, because a submission that was made later writes the same files:"
        f" {named}. The farm still has them. Give each submission a results folder of its own to"
        " have both."
    ]


def shown(job: Job) -> JobView:
    """Return what the client library's `get_jobs` documents."""
    return JobView(
        id=job.id,
        name=job.name,
        app=job.app,
        app_version=job.app_version,
        operation=job.operation,
        state=job.state,
        message=job.message,
        reason=job.reason,
        warnings=job.warnings,
        frames_done=job.frames_done,
        frames_failed=job.frames_failed,
        frames_flagged=job.frames_flagged,
        frames_total=job.frames_total,
        credits=job.credits,
        submission=job.submission_name,
    )


_ON_FARM: _Where = (ResultState.REMOTE, None)


def _key(output: Output) -> tuple[str, str]:
    return output.hash, output.path


def _remote(entry: Entry, relative: str) -> str:
    return f"{entry.output_folder}/{relative}"


def _result(entry: Entry, output: Output, state: ResultState, local: Path | None) -> ResultView:
    return ResultView(
        name=f"/{output.path}",
        size=output.size,
        frame=output.frame,
        job_id=output.job_id,
        state=state,
        local_path=None if local is None else str(local),
        submission=entry.name,
    )


def _spec_jobs(entry: Entry) -> list[JobSpec]:
    try:
        return SubmissionSpec.model_validate_json(entry.spec).jobs if entry.spec else []
    except ValidationError:
        return []  # A damaged journal; the submission itself fails with a message.
