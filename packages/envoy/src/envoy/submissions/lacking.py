"""Refusing what would fail before its first frame: scenes without files that their pixels need.

A job that says ``missing_files="warn"`` is rendered without them. Where it is not certain what a
job renders, or that nobody else brings the file, nothing is refused: the renderer looks again.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from farm_protocol.file_sets import is_one_of
from farm_protocol.files import Manifest
from farm_protocol.jobs import JobSpec

from envoy.errors import Errors, InvalidRequestError
from envoy.gather.gatherer import Lack
from envoy.submissions.compose import RESULTS_FOLDER

PageOf = Callable[[str, str, str], Awaitable[Manifest]]
"""Returns files of a project: its name, a folder, and a path that they come after."""

_ELSEWHERE = ("scene", "view_layer")
"""Parameters that have something else rendered than what is open in the file."""


async def require(
    jobs: Sequence[JobSpec],
    needs: Mapping[str, Sequence[Lack]],
    coming: Collection[str],
    page_of: PageOf,
) -> None:
    """Refuse jobs whose scenes certainly need files that are missing.

    Parameters:
        needs: what scenes lack, by their remote paths.
        coming: remote paths of all files that are on their way.

    Raises:
        InvalidRequestError: naming the files under ``jobs[i].path``.
        FarmAnswerError, FarmUnreachableError: the farm does not tell what it has.
    """
    errors: Errors = {}
    for index, job in enumerate(jobs):
        lacks = needs.get(job.path, ()) if _is_certain(job) else ()
        told = [
            each.message for each in lacks if not await _may_be_there(each, job, coming, page_of)
        ]
        if told:
            told.append(
                'The frames need these files. Put them there, or submit with missing_files="warn"'
                " to render without them."
            )
            errors[f"jobs[{index}].path"] = told
    if errors:
        raise InvalidRequestError(errors)


def _is_certain(job: JobSpec) -> bool:
    stops = str(job.params.get("missing_files") or "fail").strip().lower() == "fail"
    return stops and not job.dependencies and not any(job.params.get(name) for name in _ELSEWHERE)


async def _may_be_there(lack: Lack, job: JobSpec, coming: Collection[str], page_of: PageOf) -> bool:
    """Return whether the farm has or gets the file: from an earlier upload, or as a result."""
    folder, _, name = lack.remote.rpartition("/")
    project = job.path.split("/", 1)[0]
    if not folder.startswith(project) or f"/{RESULTS_FOLDER}/" in f"{folder}/":
        return bool(folder)
    page = await page_of(project, folder, "")
    there = {file.path for file in page.files} | set(coming)
    if page.more or lack.remote in there:
        return True
    beside = (path.rpartition("/") for path in there)
    return lack.is_sequence and any(
        where == folder and is_one_of(each, name) for where, _, each in beside
    )
