"""How things stand: the published project status, and Envoy's own view of all its activity."""

from farm_protocol.jobs import JobState

from envoy.journal import DownloadCounts, Entry, EntryState, Journal
from envoy.process.status_messages import NO_MESSAGE, Reason, StatusMessage
from envoy.process.threads import in_thread
from envoy.process.waiting import WaitingRoom
from envoy.upload.progress import FileProgress
from envoy.upload.worker import Uploader
from envoy.views.jobs import jobs_of, warnings_of
from envoy.views.own import (
    Activity,
    DownloadsView,
    JobView,
    ProgressState,
    ProjectProgress,
    SubmissionView,
)
from envoy.views.published import FileStatus, ProjectStatus, State
from envoy.watch.download import Downloader
from envoy.watch.follow import Follower

MOST_ENTRIES = 200

_PUBLISHED: dict[EntryState, tuple[State, str]] = {
    EntryState.UPLOADING: ("Uploading", "File uploads in progress."),
    EntryState.SUBMITTING: ("Submitting", "File uploads completed, submitting the jobs."),
    EntryState.SUBMITTED: ("Submitted", "Job submission successful."),
    EntryState.UPLOADED: ("Completed", "File uploads completed."),
}


class Status:
    """Reads the journal and what is in progress; changes nothing."""

    def __init__(
        self,
        journal: Journal,
        uploader: Uploader,
        follower: Follower,
        downloader: Downloader,
        waiting: WaitingRoom,
    ) -> None:
        self._journal = journal
        self._uploader = uploader
        self._follower = follower
        self._downloader = downloader
        self._waiting = waiting

    async def project(self, name: str) -> ProjectStatus:
        """Return the published status of a project; with empty details for an unknown one.

        State and message are the latest entry's; the files are those of all entries still open,
        and else of the last one that had any.
        """
        return await in_thread(self._project, name)

    def _project(self, name: str) -> ProjectStatus:
        entries = self._journal.submissions.of_project(name)
        if not entries:
            message = "This Envoy has not uploaded or submitted a project with this name."
            return ProjectStatus(state="Unknown", message=message)
        latest = entries[0]
        state, message = _PUBLISHED.get(latest.state, ("Failed", latest.message))
        if waits_for := self._waits_for(latest, self._counts(latest)).message:
            message += f" {waits_for}"
        jobs = jobs_of(self._journal, latest) if latest.spec else []
        details = self._details_of(entries)
        running = [self._uploader.progress(entry.id) for entry in entries if entry.state.is_open]
        return ProjectStatus(
            state=state,
            message=message,
            bytes_done=sum(detail.bytes_done for detail in details.values()),
            bytes_total=sum(detail.bytes_total for detail in details.values()),
            details=details,
            speed=round(sum(progress.speed for progress in running if progress)),
            warnings=warnings_of(self._journal, latest, jobs),
        )

    def _waits_for(self, entry: Entry, counts: DownloadCounts) -> StatusMessage:
        """Return what keeps an entry's files from being sent, or its results from coming."""
        if entry.state.is_open:
            return self._waiting.status
        pausing = self._downloader.pausing()
        if not pausing or not counts.files_left:
            return NO_MESSAGE
        folders = (watch.folder for watch in self._journal.submissions.watches(entry.id))
        return next((pausing[folder] for folder in folders if folder in pausing), NO_MESSAGE)

    def _counts(self, entry: Entry) -> DownloadCounts:
        return self._journal.downloads.counts(entry.id).get(entry.id, DownloadCounts())

    def _details_of(self, entries: list[Entry]) -> dict[str, FileStatus]:
        """Return the files of a project's entries, the newest entry first, by remote path."""
        details: dict[str, FileStatus] = {}
        for entry in reversed([entry for entry in entries if entry.state.is_open]):
            details |= self._details(entry)
        for entry in entries:
            if details:
                break
            details = self._details(entry)
        return details

    def _details(self, entry: Entry) -> dict[str, FileStatus]:
        progress = self._uploader.progress(entry.id)
        found: dict[str, FileStatus] = {}
        for file in self._journal.submissions.files(entry.id):
            if progress:
                far = progress.of(file.remote)
            else:
                sent = entry.state.is_sent
                far = FileProgress(file.size if sent else 0, file.size, 0.0, complete=sent)
            unfinished = "Uploading" if entry.state.is_open else "Failed"
            name = f"/{file.remote}"
            found[name] = FileStatus(
                name=name,
                state="Completed" if far.complete else unfinished,
                bytes_done=far.done,
                bytes_total=far.total,
                # As published: a number on the way, a text at the end.
                speed="0.00" if far.complete else round(far.speed),
            )
        return found

    async def progress(self, name: str) -> ProjectProgress:
        """Return how far a project's newest submission has come, to the last downloaded file.

        The latest upload counts when nothing was submitted. For an unknown project the state is
        "unknown" and everything else is empty.
        """
        return await in_thread(self._progress, name)

    def _progress(self, name: str) -> ProjectProgress:
        entries = self._journal.submissions.of_project(name)
        entry = next((entry for entry in entries if entry.spec), entries[0] if entries else None)
        if entry is None:
            return ProjectProgress(project=name, state=ProgressState.UNKNOWN)
        # Read in this order: of a job that has just ended, either an update is still missing, or
        # its results are counted.
        jobs = jobs_of(self._journal, entry) if entry.spec else []
        is_behind = self._follower.is_behind
        counts = self._counts(entry)
        state, status = _overall(entry, jobs, counts, is_behind)
        waits_for = self._waits_for(entry, counts)
        status = status if waits_for == NO_MESSAGE else waits_for
        bytes_done, bytes_total = self._bytes(entry)
        return ProjectProgress(
            project=name,
            submission=entry.name,
            state=state,
            message=status.message,
            reason=status.reason,
            warnings=warnings_of(self._journal, entry, jobs),
            bytes_done=bytes_done,
            bytes_total=bytes_total,
            frames_done=sum(job.frames_done for job in jobs),
            frames_total=sum(job.frames_total for job in jobs),
            files_done=counts.files_done,
            files_total=counts.files_total,
            jobs=jobs,
        )

    def _bytes(self, entry: Entry) -> tuple[int, int]:
        progress = self._uploader.progress(entry.id)
        if progress:
            return progress.bytes_done, progress.bytes_total
        return entry.bytes_total if entry.state.is_sent else 0, entry.bytes_total

    async def activity(self) -> Activity:
        """Return all recent submissions with their jobs and downloads, newest first."""
        return await in_thread(self._activity)

    def _activity(self) -> Activity:
        counts = self._journal.downloads.counts()
        flying = self._downloader.bytes_in_flight()
        entries = {entry.id: entry for entry in self._journal.submissions.recent(MOST_ENTRIES)}
        entries |= {entry.id: entry for entry in self._journal.submissions.unfinished()}
        shown = [
            self._submission(entry, counts.get(entry.id, DownloadCounts()), flying.get(entry.id, 0))
            for entry in entries.values()
            if entry.state is not EntryState.UPLOADED
        ]
        held = self._waiting.status
        if held == NO_MESSAGE:
            held = next(iter(self._downloader.pausing().values()), NO_MESSAGE)
        return Activity(
            submissions=shown,
            waiting_for=held.message,
            waits_for=held.reason,
            problems=self._journal.damage.messages,
        )

    def _submission(self, entry: Entry, counts: DownloadCounts, flying: int) -> SubmissionView:
        bytes_done, bytes_total = self._bytes(entry)
        jobs = self._journal.submissions.jobs(entry.id)
        folders = list(dict.fromkeys(w.folder for w in self._journal.submissions.watches(entry.id)))
        pause = NO_MESSAGE if entry.state.is_open else self._waits_for(entry, counts)
        of_downloads = (
            StatusMessage(counts.message, counts.reason) if pause == NO_MESSAGE else pause
        )
        return SubmissionView(
            submission_id=entry.id,
            project=entry.project,
            name=entry.name,
            state=entry.state,
            message=entry.message,
            reason=entry.reason,
            warnings=warnings_of(self._journal, entry, ()),
            bytes_done=bytes_done,
            bytes_total=bytes_total,
            jobs=jobs,
            downloads=DownloadsView(
                files_total=counts.files_total,
                files_done=counts.files_done,
                files_failed=counts.files_failed,
                files_replaced=counts.files_replaced,
                bytes_done=counts.bytes_done + flying,
                bytes_total=counts.bytes_total,
                folders=folders,
                message=of_downloads.message,
                reason=of_downloads.reason,
            ),
            submitted_at=entry.created_at,
        )


def _overall(
    entry: Entry, jobs: list[JobView], counts: DownloadCounts, is_behind: bool
) -> tuple[ProgressState, StatusMessage]:
    """Return the state of a submission as one word, and what there is to say about it.

    Parameters:
        is_behind: results may exist that the journal does not know of yet.
    """
    if entry.state is EntryState.UPLOADED:
        return ProgressState.COMPLETED, NO_MESSAGE
    if entry.state is not EntryState.SUBMITTED:
        return ProgressState(entry.state), entry.status
    messages = [f"'{job.name}': {job.message}" for job in jobs if job.message]
    of_jobs = StatusMessage(" ".join(messages), Reason.JOBS) if messages else NO_MESSAGE
    states = {JobState(job.state) for job in jobs}
    if not all(state.is_final for state in states):
        return ProgressState.SUBMITTED, of_jobs
    if counts.files_left or is_behind:
        on_their_way = StatusMessage("The last results are being downloaded.", Reason.DOWNLOADS)
        return ProgressState.SUBMITTED, on_their_way
    if counts.files_failed:
        messages.append(f"{counts.files_failed} results cannot be downloaded: {counts.message}")
        return ProgressState.FAILED, StatusMessage(" ".join(messages), counts.reason)
    if states & {JobState.FAILED, JobState.BLOCKED}:
        return ProgressState.FAILED, of_jobs
    ended = ProgressState.STOPPED if JobState.STOPPED in states else ProgressState.COMPLETED
    return ended, of_jobs
