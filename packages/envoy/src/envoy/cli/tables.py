"""``envoy status`` for people: Envoy's activity as a table."""

from collections.abc import Sequence

from farm_protocol.frames import Frame
from farm_protocol.jobs import Job
from farm_protocol.text import escaped
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from envoy.views.own import Activity, SubmissionView

MOST_FRAMES = 20
"""Frames of a job that are listed individually."""


def show(activity: Activity, console: Console | None = None) -> None:
    """Print the answer of ``GET /envoy/activity``."""
    out = console or Console()
    submissions = activity.submissions
    if not submissions:
        out.print("Nothing has been submitted yet.")
    else:
        table = Table(box=box.SIMPLE_HEAD)
        for title in ("Project", "Submission", "State", "Job", "Frames", "Results"):
            table.add_column(title, overflow="fold")
        for submission in submissions:
            for row in _rows(submission):
                # Text, not markup: names are untrusted, and may contain brackets, and worse.
                table.add_row(*(Text(escaped(cell)) for cell in row))
            table.add_section()
        out.print(table)
        for submission in submissions:
            for line in _messages(submission):
                _say(out, line)
    for message in filter(None, [activity.waiting_for, *activity.problems]):
        _say(out, message)


def show_flagged(job: str, frames: Sequence[Frame], console: Console | None = None) -> None:
    """Print what looks wrong about a job's frames, from ``GET /envoy/jobs/{id}/frames``."""
    out = console or Console()
    for frame in frames[:MOST_FRAMES]:
        for flag in frame.flags:
            _say(out, f"{job}, frame {frame.number}: {flag.message}")
    if len(frames) > MOST_FRAMES:
        _say(out, f"{job}: {len(frames) - MOST_FRAMES} more frames look wrong.")


def _say(out: Console, text: str) -> None:
    out.print(escaped(text), markup=False)


def _messages(submission: SubmissionView) -> list[str]:
    """Return the messages of a submission and its jobs, each once, with their source."""
    project = submission.project
    downloads = submission.downloads
    of_project = [submission.message, *submission.warnings, downloads.message]
    rows = [(project, message) for message in of_project]
    for job in submission.jobs:
        of_job = [job.message, *job.warnings]
        rows += [(f"{project}, {job.name}", message) for message in of_job]
    return list(dict.fromkeys(f"{who}: {message}" for who, message in rows if message))


def _rows(submission: SubmissionView) -> list[tuple[str, ...]]:
    head = (submission.project, submission.name, _state(submission))
    downloads = submission.downloads
    results = f"{downloads.files_done} of {downloads.files_total} files"
    if downloads.files_failed:
        results += f", {downloads.files_failed} failed"
    if downloads.files_replaced:
        results += f", {downloads.files_replaced} replaced"
    jobs: Sequence[Job | None] = submission.jobs or [None]
    rows: list[tuple[str, ...]] = []
    for number, job in enumerate(jobs):
        name = f"{job.name}: {job.state}" if job else ""
        frames = f"{job.frames_done} of {job.frames_total}" if job else ""
        first = number == 0
        rows.append((*(head if first else ("", "", "")), name, frames, results if first else ""))
    return rows


def _state(submission: SubmissionView) -> str:
    state = submission.state.value
    total = submission.bytes_total
    if state == "uploading" and total:
        return f"{state} {100 * submission.bytes_done // total} %"
    return state
