"""``farm jobs``: the administrator's commands to view and control the queue.

They access the database directly, also while the farm is running. The farm notices changes within
seconds, and its runners at their next heartbeat.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from farm_protocol.jobs import JobChange, JobLog, JobState
from sqlalchemy import Connection

from farm.cli._common import (
    AsJson,
    DataDir,
    account_of,
    checked,
    fail,
    opened,
    print_json,
    print_table,
    say,
)
from farm.db import feed, overview, tasks
from farm.db import jobs as job_table
from farm.db.engine.database import Database
from farm.scheduler import actions, portions
from farm.scheduler.actions import Action

jobs = typer.Typer(no_args_is_help=True)

JobId = Annotated[str, typer.Argument(help="The job's id, or the beginning of it.")]
OptionalJobId = Annotated[str | None, typer.Argument(help="A job's id, or the beginning of it.")]
OfSubmission = Annotated[
    str | None, typer.Option("--submission", help="All jobs of the submission with this id.")
]
OfUser = Annotated[str | None, typer.Option("--user", help="All jobs of this user (email).")]

_MOST = 1_000_000
_WHO = "the farm's administrator"


@jobs.command("list")
def list_jobs(
    user: Annotated[str | None, typer.Option("--user", help="Only this user's (email).")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Show finished jobs, too.")] = False,
    as_json: AsJson = False,
    limit: Annotated[
        int, typer.Option(min=1, max=_MOST, help=("Maximum number of jobs to show."))
    ] = 1000,
    data_dir: DataDir = None,
) -> None:
    """Show the jobs of all users, newest first."""
    with opened(data_dir) as database, database.read() as connection:
        of = None if user is None else account_of(connection, user).email
        lines = overview.job_lines(connection, user=of, over=all_, limit=limit + 1)
    if len(lines) > limit:
        del lines[limit:]
        # On stderr, so that stdout is only JSON.
        say(f"There are more than {limit} jobs. Use --limit to see more.", err=True)
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    if not lines:
        say(
            "There are no jobs."
            if all_
            else "No jobs are waiting or running. Use --all to see finished ones, too."
        )
        return
    print_table(
        ("Job", "User", "Project", "Name", "State", "Priority", "Runners", "Frames"),
        (
            (
                line.id[:8],
                line.user,
                line.project,
                line.name,
                line.state,
                str(line.priority),
                f"{line.runners} of {line.instances}",
                _frames(line.frames_done, line.frames_total, line.frames_failed),
            )
            for line in lines
        ),
    )
    for line in lines:
        if line.message:
            say(f"{line.id[:8]} {line.name}: {line.message}")


@jobs.command("show")
def show_job(job: JobId, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show a job and its newest tasks."""
    with opened(data_dir) as database, database.read() as connection:
        job_id = _one(connection, job)
        found = job_table.by_ids(connection, [job_id])[0]
        newest = tasks.tasks(connection, job_id, 20, failed=False)
    if as_json:
        print_json({**found.model_dump(), "tasks": [task.model_dump() for task in newest]})
        return
    print_table(("", found.name), [(key, str(value)) for key, value in found])
    print_table(
        ("Task", "Host", "Frames", "Done", "Outcome", "Exit", "Marker", "Says"),
        (
            (
                task.id[:8],
                task.host,
                task.frames,
                f"{task.frames_done} of {task.frames_total}",
                task.outcome,
                "" if task.exit_code is None else str(task.exit_code),
                task.marker,
                task.message,
            )
            for task in newest
        ),
    )


@jobs.command("log")
def show_log(
    job: JobId,
    task: Annotated[
        str | None, typer.Option("--task", help="Only this task's: its id, or the beginning of it.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print what a job's runners have logged."""
    with opened(data_dir) as database:
        with database.read() as connection:
            job_id = _one(connection, job)
            task_id = None if task is None else _one_task(connection, job_id, task)
        pages = _log_pages(database, job_id, task_id)
        if as_json:
            print_json({"job_id": job_id, "text": "".join(pages)})
            return
        for text in pages:
            say(text, lines=True, end="")


def _log_pages(database: Database, job_id: str, task: str | None) -> Iterator[str]:
    cursor = -1
    page = JobLog(text="", cursor=0)
    while page.cursor > cursor:
        cursor = page.cursor
        with database.read() as connection:
            page = feed.read_log(connection, job_id, cursor, task)
        yield page.text


def _action(action: Action, about: str) -> None:
    """Add the command for an action. ``about``: its help text."""

    def command(
        job: OptionalJobId = None,
        submission: OfSubmission = None,
        user: OfUser = None,
        as_json: AsJson = False,
        data_dir: DataDir = None,
    ) -> None:
        states = actions.candidates(action)

        def apply(database: Database, chosen: list[str]) -> None:
            if job is None:
                # With --user, jobs whose state has changed between two transactions are skipped.
                still = None if user is None else states
                portions.act(database, chosen, action, states=still, who=_WHO)
                return
            portions.make_way(database, chosen, action)
            with database.write() as connection:
                actions.act(connection, chosen[0], action, datetime.now(UTC), who=_WHO)

        _apply(data_dir, job, submission, user, as_json, states, apply)

    jobs.command(action.value.replace("_", "-"), help=about)(command)


_action(Action.STOP, "Stop jobs, and end their runners at once.")
_action(Action.SUSPEND, "Suspend jobs: running frames finish, and no others start.")
_action(Action.RESUME, "Resume suspended jobs.")
_action(Action.RETRY, "Render failed frames again; without --user, stopped jobs continue as well.")
_action(Action.RETRY_ALL, "Render every frame again.")
_action(Action.RESTART_UNSTARTED, "Render only the frames that were never started.")


@jobs.command("change")
def change_jobs(
    job: OptionalJobId = None,
    submission: OfSubmission = None,
    user: OfUser = None,
    priority: Annotated[int | None, typer.Option(help="0 to 100; higher comes first.")] = None,
    instances: Annotated[
        int | None,
        typer.Option(help=("Maximum number of runners at a time, or 0 for the plan's limit.")),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Change priority or instances, also of jobs that run."""
    asked = checked(JobChange, priority=priority, instances=instances)

    def apply(database: Database, chosen: list[str]) -> None:
        portions.change(database, chosen, asked)

    _apply(data_dir, job, submission, user, as_json, actions.candidates(), apply)


def _apply(
    data_dir: Path | None,
    job: str | None,
    submission: str | None,
    user: str | None,
    as_json: bool,
    states: Collection[JobState],
    what: Callable[[Database, list[str]], None],
) -> None:
    if sum(each is not None for each in (job, submission, user)) != 1:
        fail("Name one job, or use --submission or --user.")
    with opened(data_dir) as database:
        with database.read() as connection:
            chosen = _chosen(connection, job, submission, user, states)
        what(database, chosen)
        with database.read() as connection:
            after = job_table.by_ids(connection, chosen)
    if as_json:
        print_json([each.model_dump() for each in after])
        return
    for each in after:
        say(f"{each.id[:8]} {each.name}: {each.state}. {each.message}".rstrip())


def _chosen(
    connection: Connection,
    job: str | None,
    submission: str | None,
    user: str | None,
    states: Collection[JobState],
) -> list[str]:
    if job is not None:
        return [_one(connection, job)]
    if submission is not None:
        if job_table.submission_owner(connection, submission) is None:
            fail(f"There is no submission with the id '{submission}'.")
        return job_table.ids(connection, submission_id=submission)
    account = account_of(connection, user or "")
    return job_table.ids(connection, account_id=account.id, states=states)


def _one(connection: Connection, prefix: str) -> str:
    return _only(overview.jobs_beginning_with(connection, prefix), "job", prefix)


def _one_task(connection: Connection, job_id: str, prefix: str) -> str:
    return _only(overview.tasks_beginning_with(connection, job_id, prefix), "task", prefix)


def _only(found: list[str], what: str, prefix: str) -> str:
    if not found or not prefix:
        fail(f"There is no {what} whose id begins with '{prefix}'.")
    if len(found) > 1:
        fail(f"Several {what}s begin with '{prefix}'. Give more of the id.")
    return found[0]


def _frames(done: int, total: int, failed: int) -> str:
    return f"{done} of {total}" + (f", {failed} failed" if failed else "")
