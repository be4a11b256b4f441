"""Why a job is as it is, read across versions of the farm."""

from typing import Any

import pytest
from farm_protocol.jobs import Job, JobReason
from pydantic import ValidationError


def job(**of_newer_farms: Any) -> Job:
    """Read a job as the first farms told of it, and what else is given."""
    texts = ("project", "submission_name", "name", "app", "app_version", "message")
    counts = ("frames_total", "frames_done", "frames_failed", "frames_running")
    told: dict[str, Any] = {
        **dict.fromkeys(texts, "x"),
        **dict.fromkeys(counts, 1),
        **dict.fromkeys(("id", "submission_id"), "0" * 32),
        "state": "running",
        "warnings": [],
        "credits": 1,
        "output_folder": "x",
        "submitted_at": "2026-01-02T03:04:05Z",
        "started_at": None,
        "finished_at": None,
    }
    return Job.model_validate(told | of_newer_farms)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({}, JobReason.NONE),
        ({"reason": "licence"}, JobReason.LICENCE),
        ({"reason": "of a newer farm"}, JobReason.NONE),
    ],
)
def test_a_reason_that_is_not_known_is_none(told: dict[str, Any], read: JobReason) -> None:
    assert job(**told).reason is read


@pytest.mark.parametrize("reason", [None, 5, ["licence"]])
def test_a_reason_is_a_text(reason: object) -> None:
    with pytest.raises(ValidationError):
        job(reason=reason)
