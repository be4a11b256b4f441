"""Checks a submission, and returns its jobs with everything that their rows need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import BinaryIO

from farm_protocol.jobs import (
    JobSpec,
    SubmissionSpec,
)
from farm_protocol.paths import (
    MAX_PATH_BYTES,
    MAX_SEGMENT_BYTES,
    UnsafePathError,
    canonical,
    check_segment,
    project_of,
)
from sqlalchemy import Connection

from farm.catalogue import Catalogue
from farm.catalogue.machines import Machines, Own, choose
from farm.catalogue.matching import (
    check_plugins,
    find_version,
    unknown_operation,
)
from farm.db import manifests, projects
from farm.db.accounts import AccountRow
from farm.db.earlier_results import Use
from farm.errors import InvalidRequestError
from farm.jobs.dependencies import find_cycle
from farm.jobs.frames import (
    Frames,
    FrameSet,
    FrameSpecError,
    format_ranges,
    parse_frames,
)
from farm.products import (
    FileNames,
    ImageSequence,
    SceneFormat,
    SequenceError,
    Template,
    parse_sequence,
)
from farm.stores.port import Store
from farm.submissions.earlier import Earlier
from farm.submissions.output_names import Written, clashes
from farm.submissions.project_files import ProjectPaths
from farm.submissions.scene_version import saved_too_new
from farm.submissions.sequences import Looks, Maker, TooManyNamesError, missing_images

MAX_SUBMISSION_FRAMES = 5_000_000
"""Maximum number of frames of all jobs of a submission."""

MAX_SUBMISSION_RANGES = 20_000
"""Maximum number of separate ranges of frames in a submission."""

MAX_SUBMISSION_NAMES = 1_500_000
"""Limit of file names to examine for image sequences: enough for a million images."""
MAX_SUBMISSION_PIECES = 400_000
"""Limit of range parts to examine: interleaved ranges have many."""

MAX_SUBMISSION_DEPENDENCIES = 10_000
"""Maximum number of dependencies in a submission, and of uses of earlier jobs' results."""

_MOST_HINTS = 3
"""Number of jobs for whose missing images similar names are searched."""

MOST_FOLDER_BYTES = MAX_PATH_BYTES - MAX_SEGMENT_BYTES - 1
"""Maximum length of an output folder: leaves room for the longest name of a file."""

_MOST_RANGES = 100
"""Limit of common frame ranges of two jobs, of which a few are named in the message."""

_NOT_THERE = (
    "'{}' is neither among the files to upload nor on the farm; "
    "add it to the project with add_files."
)


@dataclass(slots=True)
class CheckedJob:
    """A checked job, with everything that its rows need.

    Attributes:
        scene: canonical remote path of the scene; "" if it is invalid, or a sequence is.
        version: version of the program; "" if there is none.
        template: None for an unknown operation.
        machine: None if no machine type is suitable.
        names: names of the frames' files; None if they are unknown before rendering.
        sequence: the image sequence that the job reads; None if it reads a scene.
        images: numbers of the images that it needs.
        pieces: how many range parts were examined.
        uses: the earlier jobs' results that it uses.
    """

    spec: JobSpec
    scene: str = ""
    version: str = ""
    plugins: list[str] = field(default_factory=list)
    template: Template | None = None
    machine: Machines | None = None
    frames: Frames = field(default_factory=Frames)
    parameters: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    names: FileNames | None = None
    sequence: ImageSequence | None = None
    images: Frames = field(default_factory=Frames)
    pieces: int = 0
    uses: list[Use] = field(default_factory=list)


def check_jobs(
    connection: Connection,
    catalogue: Catalogue,
    store: Store,
    account: AccountRow,
    spec: SubmissionSpec,
) -> list[CheckedJob]:
    """Return the jobs of a submission, ready to be stored.

    Raises:
        InvalidRequestError: contains all errors, by field.
    """
    errors: dict[str, list[str]] = {}
    try:
        check_segment(spec.project)
        if project_of(spec.output_folder) != spec.project or "/" not in spec.output_folder:
            errors["output_folder"] = [f"It must be inside the project '{spec.project}'."]
        elif len(spec.output_folder.encode()) > MOST_FOLDER_BYTES:
            errors["output_folder"] = [
                f"It is longer than {MOST_FOLDER_BYTES} bytes, which leaves no room for"
                " the names of results. Use a shorter path."
            ]
    except UnsafePathError as error:
        errors["project"] = [str(error)]
    found = projects.find(connection, account.id, spec.project)
    project = found.id if found else None
    pending = {path.removeprefix("/") for path in spec.pending_files}

    earlier = Earlier(connection, project)

    def blob_of(path: str, job: CheckedJob) -> str | None:
        blob = manifests.hash_of(connection, project, path) if project is not None else None
        return blob or earlier.file(path, job.uses)

    own = Own(account.machine_cpu, account.machine_gpu)
    checked: list[CheckedJob] = []
    frames = pieces = 0
    for index, job in enumerate(spec.jobs):
        result, wrong = _check_job(catalogue, spec.project, own, job)
        if result.scene and result.sequence is None and result.scene not in pending:
            blob = blob_of(result.scene, result)
            if blob is None:
                wrong["path"] = [_NOT_THERE.format(result.scene)]
            elif result.version:
                _check_scene(catalogue, partial(store.open, account.id, blob), result, wrong)
        for name, path in _named_files(result).items():
            if path not in pending and blob_of(path, result) is None:
                wrong.setdefault(name, [_NOT_THERE.format(path)])
        errors.update({f"jobs[{index}].{name}": texts for name, texts in wrong.items()})
        checked.append(result)
        frames += len(result.frames)
        pieces += result.pieces
        if frames > MAX_SUBMISSION_FRAMES or pieces > MAX_SUBMISSION_PIECES:
            break  # Checking more jobs would only take time.
    _check_size(checked, errors)
    _check_graph(spec.jobs, errors)
    if "jobs" not in errors:
        _check_sequences(connection, project, spec, checked, earlier, errors)
        _check_overlap(checked, errors)
    if errors:
        raise InvalidRequestError(errors)
    return checked


def _named_files(job: CheckedJob) -> dict[str, str]:
    """Return the paths of files in a job's parameters, by parameter."""
    parameters = job.template.parameters if job.template else ()
    named = {each.name: job.parameters.get(each.name) for each in parameters if each.type == "path"}
    return {name: str(path) for name, path in named.items() if path}


def _check_job(
    catalogue: Catalogue, project: str, own: Own, spec: JobSpec
) -> tuple[CheckedJob, dict[str, list[str]]]:
    result = CheckedJob(spec)
    wrong: dict[str, list[str]] = {}
    needs_gpu = catalogue.definitions.need_gpu(spec.app, spec.plugins)
    template = catalogue.definitions.template(spec.app, spec.operation)
    if template is None:
        wrong.update(unknown_operation(catalogue, spec))
    else:
        result.template = template.for_scene(spec.path)
        _check_parameters(result.template, spec, result, wrong)
        needs_gpu |= result.template.wants_gpu(result.parameters)
        _check_version(catalogue, spec, result, wrong)
    try:
        result.machine = choose(catalogue.machines, spec.machine_type, gpu=needs_gpu, own=own)
    except ValueError as error:
        wrong["machine_type"] = [str(error)]
    try:
        result.scene = canonical(spec.path)
        if project_of(result.scene) != project:
            wrong["path"] = [f"'{spec.path}' must begin with the project's name: '{project}/...'."]
            result.scene = ""
        elif template is not None and template.sequence:
            result.sequence = parse_sequence(result.scene)
        elif template is not None and (refusal := template.scene_refusal(result.scene)):
            wrong["path"] = [refusal]
            result.scene = ""
    except (UnsafePathError, SequenceError) as error:
        result.scene = ""
        wrong["path"] = [str(error)]
    return result, wrong


def _check_version(
    catalogue: Catalogue, spec: JobSpec, result: CheckedJob, wrong: dict[str, list[str]]
) -> None:
    try:
        found = find_version(catalogue, spec)
    except ValueError as error:
        wrong["app_version"] = [str(error)]
        return
    result.version = found.version
    result.warnings += [found.warning] if found.warning else []
    if refused := check_plugins(catalogue, spec, found.version):
        wrong["plugins"] = refused
    else:
        result.plugins = list(dict.fromkeys(spec.plugins))


def _check_scene(
    catalogue: Catalogue,
    opened: Callable[[], BinaryIO],
    result: CheckedJob,
    wrong: dict[str, list[str]],
) -> None:
    there = [row.version for row in catalogue.products if row.app_type == result.spec.app]
    scene_format = result.template.scene if result.template else None
    reason = saved_too_new(result.scene, opened, scene_format, result.version, there)
    if reason:
        wrong["app_version"] = [reason]


def _check_parameters(
    template: Template, spec: JobSpec, result: CheckedJob, wrong: dict[str, list[str]]
) -> None:
    validated = template.validate(spec.params)
    wrong.update(validated.errors)
    result.parameters = dict(validated.values)
    result.warnings = list(validated.warnings)
    listed = str(validated.values[template.frames] or "")
    wrong.update(template.lacks_plugin(validated.values, spec.plugins))
    if template.frames not in validated.errors and (listed or not template.whole):
        try:
            result.frames = parse_frames(listed)
            result.pieces = result.frames.pieces
        except FrameSpecError as error:
            result.pieces = error.pieces
            wrong[template.frames] = [str(error)]
        if refusal := template.frames_refusal(result.frames.runs):
            wrong[template.frames] = [refusal]
    if template.sequence:
        result.images = result.frames
    if template.whole:
        first = result.frames.lowest if result.frames else 1
        result.frames = Frames((range(first, first + 1),))
    if not wrong:
        try:
            result.names = template.foreseen(spec.path, validated.values)
        except UnsafePathError as error:
            wrong[template.naming] = [str(error)]


def _check_size(checked: Sequence[CheckedJob], errors: dict[str, list[str]]) -> None:
    frames = sum(len(job.frames) for job in checked)
    if frames > MAX_SUBMISSION_FRAMES:
        errors["jobs"] = [
            f"The jobs have {frames} frames in all, and a submission may have"
            f" {MAX_SUBMISSION_FRAMES}. Split them over several submissions."
        ]
    if sum(job.pieces for job in checked) > MAX_SUBMISSION_PIECES:
        errors["jobs"] = [
            "The frame ranges of the jobs overlap too much to be told apart in"
            " reasonable time. Write ranges that do not overlap, or split the jobs over"
            " several submissions."
        ]
    needed = sum(len(job.spec.dependencies) for job in checked)
    if needed > MAX_SUBMISSION_DEPENDENCIES:
        errors["jobs"] = [
            f"The jobs have {needed} dependencies in all, and a submission may have"
            f" {MAX_SUBMISSION_DEPENDENCIES}. Leave out those that others imply."
        ]
    ranges = sum(len(job.frames.runs) for job in checked)
    if ranges > MAX_SUBMISSION_RANGES:
        errors["jobs"] = [
            f"The frames of the jobs form {ranges} separate ranges in all, and a"
            f" submission may have {MAX_SUBMISSION_RANGES}. Write ranges that do not"
            " overlap, or split the jobs over several submissions."
        ]


def _check_sequences(
    connection: Connection,
    project: str | None,
    spec: SubmissionSpec,
    checked: Sequence[CheckedJob],
    earlier: Earlier,
    errors: dict[str, list[str]],
) -> None:
    by_id = {job.spec.id: job for job in checked}
    pending = sorted(path.removeprefix("/") for path in spec.pending_files)
    there = ProjectPaths(connection, project, pending)
    hints, looks = _MOST_HINTS, Looks(MAX_SUBMISSION_NAMES)
    for index, job in enumerate(checked):
        if job.sequence is None:
            continue
        needed = [by_id[each] for each in job.spec.dependencies if each in by_id]
        makers = [
            Maker(spec.output_folder, each.names, each.frames, _writes_more(each))
            for each in needed
        ]
        try:
            missing, used = missing_images(
                job.sequence,
                job.images,
                there,
                makers,
                looks,
                earlier=partial(earlier.images, looks),
                hints=hints > 0,
            )
        except TooManyNamesError:
            errors["jobs"] = [
                "There are too many files to search for the images of the jobs'"
                " sequences. Split the jobs over several submissions."
            ]
            return
        if missing:
            errors[f"jobs[{index}].path"] = [missing]
            hints -= 1
        job.uses += earlier.uses(used, job.sequence.folder + job.sequence.head)
    _check_uses(checked, errors)


def _check_uses(checked: Sequence[CheckedJob], errors: dict[str, list[str]]) -> None:
    many = sum(len(job.uses) for job in checked)
    if many > MAX_SUBMISSION_DEPENDENCIES:
        errors["jobs"] = [
            f"The jobs use results of earlier submissions {many} times in all, and a submission"
            f" may do so {MAX_SUBMISSION_DEPENDENCIES} times. Split them over several submissions."
        ]


def _writes_more(job: CheckedJob) -> bool:
    return job.template is not None and job.template.scene is SceneFormat.BLEND


def _check_graph(jobs: Sequence[JobSpec], errors: dict[str, list[str]]) -> None:
    names = {job.id: job.name for job in jobs}
    if len(names) < len(jobs):
        errors["jobs"] = ["Two jobs have the same id."]
    for index, job in enumerate(jobs):
        unknown = [needed for needed in job.dependencies if needed not in names]
        if unknown:
            errors[f"jobs[{index}].dependencies"] = [
                f"'{job.name}' depends on a job that is not part of this submission."
            ]
    cycle = find_cycle({job.id: job.dependencies for job in jobs})
    if cycle:
        shown = " -> ".join(f"'{names.get(each, each)}'" for each in cycle)
        errors["jobs"] = [f"The dependencies between the jobs form a cycle: {shown}."]


def _check_overlap(checked: Sequence[CheckedJob], errors: dict[str, list[str]]) -> None:
    # The jobs of a submission share a results folder: one would silently overwrite the other.
    known = [
        Written(job.names, job.frames) if job.names is not None and job.frames else None
        for job in checked
    ]
    for clash in clashes(known):
        job, other = checked[clash.second], checked[clash.first]
        common = FrameSet(other.frames.lowest, other.frames.highest)
        for run in other.frames.runs:
            common.add(run)
        both = islice(chain.from_iterable(map(common.common, job.frames.runs)), _MOST_RANGES)
        naming = job.template.naming if job.template else ""
        errors[f"jobs[{clash.second}].{naming}"] = [
            f"'{job.spec.name}' and '{other.spec.name}' would both write '{clash.name}' "
            f"(frames {format_ranges(both)}). Give each job its own {naming}."
        ]
