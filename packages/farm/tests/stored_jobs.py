"""Jobs for the tests that store rows themselves."""

from farm.db.new_jobs import NewJob


def plain_job(job_id: str, submission_id: str, account_id: str) -> NewJob:
    """Return a job of one frame that is ready; `dataclasses.replace` makes another of it."""
    return NewJob(
        id=job_id,
        submission_id=submission_id,
        account_id=account_id,
        position=0,
        client_id="x",
        name="x",
        app="x",
        app_version="x",
        operation="x",
        template="x",
        scene="x",
        parameters={},
        plugins=[],
        warnings=[],
        instances=1,
        machine_type="",
        credits_per_hour="1",
        priority=1,
        state="ready",
        frames_total=1,
    )
