"""The change feed: how Envoy learns what happened, with a cursor that it keeps on disk."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from farm_protocol.files import BlobHash, FileSize
from farm_protocol.jobs import Job
from farm_protocol.models import Answer, FirstFault, Int64
from farm_protocol.paths import MAX_PATH_BYTES
from farm_protocol.text import Id

_ResultPath = Annotated[str, Field(max_length=MAX_PATH_BYTES)]
"""A remote path, checked only in length: whoever writes it to a disk checks the rest."""
FarmId = Annotated[str, Field(max_length=200)]
"""Identifies a farm's database."""


class Output(Answer):
    """One result file of a job. ``path``: remote path. ``frame``: None when not of one frame."""

    submission_id: Id
    job_id: Id
    frame: Int64 | None
    path: _ResultPath
    hash: BlobHash
    size: FileSize
    created_at: datetime


class OutputList(Answer):
    """``GET /v1/jobs/{id}/outputs?after=<path>``: a job's result files, by remote path.

    Attributes:
        more: there is more: ask again with ``after`` set to the last path.
    """

    outputs: Annotated[list[Output], FirstFault]
    more: bool = False


class GoneOutput(Answer):
    """A result file that the feed has reported, and that the farm no longer has."""

    submission_id: Id
    job_id: Id
    path: _ResultPath


class Changes(Answer):
    """``GET /v1/changes?after=<cursor>&wait=<seconds>``: what is new since ``after``.

    Waits up to ``wait`` seconds (at most 30) for something to happen, then answers anyway. Outputs
    come in the order in which they were written; a job appears once, as it stands now.

    Attributes:
        farm_id: changes when the farm has a different database: start again from 0.
        cursor: the next ``after``.
        gone: results that were written but no longer exist.
    """

    farm_id: FarmId
    cursor: Int64
    outputs: Annotated[list[Output], FirstFault]
    jobs: Annotated[list[Job], FirstFault]
    gone: Annotated[list[GoneOutput], FirstFault] = []
    more: bool = False
