"""Refuses jobs that would fail before their first frame: their scenes lack files of their pixels.

A job with ``missing_files="warn"`` is rendered without them. Where it is not certain what a job
renders, or that nothing else provides the file, nothing is refused: the renderer checks again.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from farm_protocol.file_sets import Names
from farm_protocol.files import Manifest
from farm_protocol.jobs import JobSpec
from farm_protocol.spellings import composed, folded

from envoy.errors import Errors, InvalidRequestError
from envoy.gather.gatherer import Lack
from envoy.submissions.compose import RESULTS_FOLDER

PageOf = Callable[[str, str, str], Awaitable[Manifest]]
"""Returns files of a project, given its name, a folder, and the path after which they come."""

_ELSEWHERE = ("scene", "view_layer")
"""Parameters that make a job render something else than what is active in the file."""


async def require(
    jobs: Sequence[JobSpec],
    needs: Mapping[str, Sequence[Lack]],
    coming: Collection[str],
    page_of: PageOf,
) -> None:
    """Refuse jobs whose scenes certainly need files that are missing.

    Parameters:
        needs: files that scenes lack, by the scenes' remote paths.
        coming: remote paths of all files that are on their way.

    Raises:
        InvalidRequestError: names the files under ``jobs[i].path``.
        FarmAnswerError, FarmUnreachableError: the farm does not say what it has.
    """
    errors: Errors = {}
    coming_to = _by_folder(coming)
    certain = {job.path for job in jobs if _is_certain(job)}
    lost = {
        path: await _lost(path.split("/", 1)[0], needs.get(path, ()), coming_to, page_of)
        for path in certain
    }
    for index, job in enumerate(jobs):
        messages = list(lost[job.path]) if _is_certain(job) else []
        if messages:
            messages.append(
                'The frames need these files. Put them there, or submit with missing_files="warn"'
                " to render without them."
            )
            errors[f"jobs[{index}].path"] = messages
    if errors:
        raise InvalidRequestError(errors)


def _is_certain(job: JobSpec) -> bool:
    stops = str(job.params.get("missing_files") or "fail").strip().lower() == "fail"
    return stops and not job.dependencies and not any(job.params.get(name) for name in _ELSEWHERE)


async def _lost(
    project: str,
    lacks: Sequence[Lack],
    coming_to: Mapping[str, Sequence[str]],
    page_of: PageOf,
) -> list[str]:
    """Return the messages about files that the farm neither has nor will get.

    It may have them from an earlier upload, or as results. Each folder is requested once: a scene
    may name thousands of files in it.

    Parameters:
        coming_to: names of the files that are on their way, by their folders.
    """
    lacking = defaultdict(list)
    for lack in lacks:
        lacking[lack.remote.rpartition("/")[0]].append(lack)
    there: set[Lack] = set()
    likes: dict[Lack, str] = {}
    for folder, those in lacking.items():
        if not folder.startswith(project) or f"/{RESULTS_FOLDER}/" in f"{folder}/":
            there.update(those if folder else ())
            continue
        page = await page_of(project, folder, "")
        known = _by_folder(file.path for file in page.files).get(folder, [])
        names = {*known, *coming_to.get(folder, ())}
        index = Names(names)
        read = {composed(each) for each in names}
        alike = {folded(each): each for each in sorted(names)}
        for lack in those:
            name = lack.remote.rpartition("/")[2]
            if page.more or name in names or (lack.is_sequence and any(index.of(name))):
                there.add(lack)
            elif composed(name) in read:
                there.add(lack)  # Its accents are encoded in another way: the farm finds it.
            elif like := alike.get(folded(name)):
                likes[lack] = _how_alike(name, like)
    return [
        f"{lack.message} {likes[lack]}" if lack in likes else lack.message
        for lack in lacks
        if lack not in there
    ]


def _how_alike(name: str, like: str) -> str:
    """Return a message about a file whose name some systems treat as that of a missing one."""
    if name.casefold() == like.casefold():
        return f"The project has {like}, whose upper and lower case differ."
    return (
        f"The project has {like}, whose upper and lower case differ, and how its accents are"
        " encoded (Unicode NFC and NFD). Rename the file, or link it again."
    )


def _by_folder(paths: Iterable[str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for path in paths:
        folder, _, name = path.rpartition("/")
        found[folder].append(name)
    return found
