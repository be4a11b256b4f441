"""From a submission as it is sent to jobs with frames: check everything, then store it at once.

`check` and `create` share one path, so that what passes the check is accepted later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from farm_protocol.jobs import (
    DEFAULT_PRIORITY,
    JobSpec,
    JobState,
    Submission,
    SubmissionCheck,
    SubmissionSpec,
)
from farm_protocol.paths import UnsafePathError, canonical, check_segment, project_of
from sqlalchemy import Connection

from farm.accounts.credits import require_positive
from farm.catalog import Catalogue
from farm.catalog.machines import Machines, Own, choose
from farm.catalog.matching import (
    check_plugins,
    find_version,
    unknown_operation,
    with_versions,
)
from farm.db import feed, files, job_rows
from farm.db import jobs as rows
from farm.db.accounts import AccountRow
from farm.errors import ConflictError, InvalidRequestError
from farm.inputs import Maker, missing_images
from farm.jobs.dependencies import find_cycle
from farm.jobs.frames import FrameSpecError, format_frames, parse_frames, with_test_frames
from farm.jobs.pricing import to_micros
from farm.scene_checks import saved_too_new
from farm.scheduler import writer
from farm.stores.disk import DiskStore
from farm.templates import (
    ImageSequence,
    SequenceError,
    Template,
    load_named,
    parse_sequence,
)

_NOT_THERE = (
    "'{}' is neither among the files to upload nor on the farm; "
    "add it to the project with add_files."
)


@dataclass(slots=True)
class _Compiled:
    """A job that was checked, with all that its rows need."""

    spec: JobSpec
    scene: str = ""
    version: str = ""
    plugins: list[str] = field(default_factory=list)
    template: str = ""
    machine: Machines | None = None
    frames: list[int] = field(default_factory=list)
    parameters: dict[str, object] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    sequence: ImageSequence | None = None
    images: list[int] = field(default_factory=list)


def check(
    connection: Connection,
    catalogue: Catalogue,
    store: DiskStore,
    account: AccountRow,
    spec: SubmissionSpec,
) -> SubmissionCheck:
    """Say whether `create` would accept this once `pending_files` have been sent.

    Raises:
        InvalidRequestError: all that is wrong, by field.
        InsufficientCreditsError: the balance is not positive.
    """
    compiled = _compile(connection, catalogue, store, account, spec)
    require_positive(connection, account.id)
    return SubmissionCheck(warnings=[text for job in compiled for text in job.warnings])


def create(
    connection: Connection,
    catalogue: Catalogue,
    store: DiskStore,
    account: AccountRow,
    spec: SubmissionSpec,
) -> Submission:
    """Store a submission with its jobs and return it; one that is there already is returned as is.

    Raises:
        InvalidRequestError, InsufficientCreditsError: as `check`.
        ConflictError: the id is another user's.
    """
    owner = rows.submission_owner(connection, spec.id)
    if owner is not None:
        if owner != account.id:
            raise ConflictError(f"The id '{spec.id}' is taken; choose a random UUID.")
        return rows.submission(connection, spec.id)
    compiled = _compile(connection, catalogue, store, account, spec)
    require_positive(connection, account.id)
    now = datetime.now(UTC)
    job_rows.insert_submission(
        connection,
        {
            "id": spec.id,
            "account_id": account.id,
            "project_id": files.ensure_project(connection, account.id, spec.project, now),
            "project": spec.project,
            "name": spec.name,
            "output_folder": spec.output_folder,
            "submitted_at": now,
        },
    )
    ids = {job.spec.id: uuid4().hex for job in compiled}
    for job in _needed_first(compiled):
        values = _job_values(job, ids, spec.id, account.id, compiled.index(job), now)
        needs = [ids[needed] for needed in dict.fromkeys(job.spec.dependencies)]
        frames = job.frames
        if job.spec.test_frames_first:
            frames, values["test_frames"] = with_test_frames(frames)
        job_rows.insert_job(connection, values, frames, needs)
        feed.job_changed(connection, account.id, ids[job.spec.id])
    if any(job.spec.dependencies for job in compiled):
        writer.review_dependencies(connection, spec.id, now)
    return rows.submission(connection, spec.id)


def _needed_first(compiled: Sequence[_Compiled]) -> list[_Compiled]:
    # Foreign keys: a job is stored after those that it needs. There is no cycle by now.
    ordered: list[_Compiled] = []
    left = list(compiled)
    done: set[str] = set()
    while left:
        free = [job for job in left if done.issuperset(job.spec.dependencies)]
        ordered += free
        done.update(job.spec.id for job in free)
        left = [job for job in left if job.spec.id not in done]
    return ordered


def _job_values(
    job: _Compiled,
    ids: Mapping[str, str],
    submission_id: str,
    account_id: str,
    position: int,
    now: datetime,
) -> dict[str, object]:
    assert job.machine is not None
    budget = job.spec.budget
    return {
        "id": ids[job.spec.id],
        "submission_id": submission_id,
        "account_id": account_id,
        "position": position,
        "client_id": job.spec.id,
        "name": job.spec.name,
        "app": job.spec.app,
        "app_version": job.version,
        "operation": job.spec.operation,
        "template": job.template,
        "scene": job.scene,
        "parameters": job.parameters,
        "plugins": job.plugins,
        "warnings": job.warnings,
        "instances": job.spec.instances,
        "machine_type": job.machine.id,
        # The price of the day of submission holds for the whole job.
        "credits_per_hour": str(job.machine.price(job.spec.app)),
        "priority": DEFAULT_PRIORITY,
        "state": (JobState.PENDING if job.spec.dependencies else JobState.READY).value,
        "sentence": "",
        "noticed": "",
        "frames_total": len(job.frames),
        "frames_done": 0,
        "frames_failed": 0,
        "frames_running": 0,
        "frames_flagged": 0,
        "credits_micros": 0,
        "budget_micros": to_micros(budget.value) if budget else 0,
        "budget_action": budget.action.value if budget else "",
        "budget_acted": False,
        "suspended_for": "",
        "test_frames": 0,
        "licence_failures": 0,
        "submitted_at": now,
    }


def _compile(
    connection: Connection,
    catalogue: Catalogue,
    store: DiskStore,
    account: AccountRow,
    spec: SubmissionSpec,
) -> list[_Compiled]:
    errors: dict[str, list[str]] = {}
    try:
        check_segment(spec.project)
        if project_of(spec.output_folder) != spec.project or "/" not in spec.output_folder:
            errors["output_folder"] = [f"It must lie inside the project '{spec.project}'."]
    except UnsafePathError as error:
        errors["project"] = [str(error)]
    project = files.project_id(connection, account.id, spec.project)
    pending = {path.removeprefix("/") for path in spec.pending_files}

    def blob_of(path: str) -> str | None:
        return files.entry_hash(connection, project, path) if project is not None else None

    own = Own(account.machine_cpu, account.machine_gpu)
    compiled = []
    for index, job in enumerate(spec.jobs):
        result, wrong = _compile_job(catalogue, spec.project, own, job)
        if result.scene and result.sequence is None and result.scene not in pending:
            blob = blob_of(result.scene)
            if blob is None:
                wrong["path"] = [_NOT_THERE.format(result.scene)]
            elif result.version:
                _check_scene(catalogue, store.path(account.id, blob), result, wrong)
        for name, path in _named_files(result).items():
            if path not in pending and blob_of(path) is None:
                wrong.setdefault(name, [_NOT_THERE.format(path)])
        errors.update({f"jobs[{index}].{name}": texts for name, texts in wrong.items()})
        compiled.append(result)
    _check_sequences(connection, project, spec, compiled, errors)
    _check_graph(spec.jobs, errors)
    _check_overlap(compiled, errors)
    if errors:
        raise InvalidRequestError(errors)
    return compiled


def _named_files(job: _Compiled) -> dict[str, str]:
    """Return the files of the project that a job's parameters name, by parameter."""
    parameters = load_named(job.template).parameters if job.template else ()
    named = {each.name: job.parameters.get(each.name) for each in parameters if each.type == "path"}
    return {name: str(path) for name, path in named.items() if path}


def _compile_job(
    catalogue: Catalogue, project: str, own: Own, spec: JobSpec
) -> tuple[_Compiled, dict[str, list[str]]]:
    result = _Compiled(spec)
    wrong: dict[str, list[str]] = {}
    needs_gpu = catalogue.definitions.need_gpu(spec.app, spec.plugins)
    name = catalogue.definitions.template(spec.app, spec.operation)
    if name is None:
        wrong.update(unknown_operation(catalogue, spec))
    else:
        template = load_named(name).for_scene(spec.path)
        result.template = template.name
        _check_parameters(template, spec, result, wrong)
        needs_gpu |= template.wants_gpu(result.parameters)
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
        elif name is not None and load_named(name).sequence:
            result.sequence = parse_sequence(result.scene)
        elif name is not None and (refusal := load_named(name).scene_refusal(result.scene)):
            wrong["path"] = [refusal]
            result.scene = ""
    except (UnsafePathError, SequenceError) as error:
        result.scene = ""
        wrong["path"] = [str(error)]
    return result, wrong


def _check_version(
    catalogue: Catalogue, spec: JobSpec, result: _Compiled, wrong: dict[str, list[str]]
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
        result.plugins = with_versions(catalogue, spec, found.version)


def _check_scene(
    catalogue: Catalogue, file: Path, result: _Compiled, wrong: dict[str, list[str]]
) -> None:
    there = [row.version for row in catalogue.products if row.app_type == result.spec.app]
    scene_format = load_named(result.template).scene
    reason = saved_too_new(result.scene, file, scene_format, result.version, there)
    if reason:
        wrong["app_version"] = [reason]


def _check_parameters(
    template: Template, spec: JobSpec, result: _Compiled, wrong: dict[str, list[str]]
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
        except FrameSpecError as error:
            wrong[template.frames] = [str(error)]
        if refusal := template.frames_refusal(result.frames):
            wrong[template.frames] = [refusal]
    if template.sequence:
        result.images = result.frames
    if template.whole:
        result.frames = [min(result.frames, default=1)]
    if not wrong:
        named = template.output_files(validated.values, result.frames)
        result.files = {name for names in named.values() for name in names}
        if template.outputs is not None and len(result.files) < len(result.frames):
            wrong["output_prefix"] = ["Several frames would be written to the same file."]


def _check_sequences(
    connection: Connection,
    project: str | None,
    spec: SubmissionSpec,
    compiled: Sequence[_Compiled],
    errors: dict[str, list[str]],
) -> None:
    for index, job in enumerate(compiled):
        if job.sequence is None:
            continue
        there = [path.removeprefix("/") for path in spec.pending_files]
        there += files.paths(connection, project) if project is not None else []
        needed = [each for each in compiled if each.spec.id in job.spec.dependencies]
        makers = [Maker(spec.output_folder, each.files) for each in needed]
        if missing := missing_images(job.sequence, job.images, there, makers):
            errors[f"jobs[{index}].path"] = [missing]


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
        errors["jobs"] = [f"Jobs wait for each other in a circle: {shown}."]


def _check_overlap(compiled: Sequence[_Compiled], errors: dict[str, list[str]]) -> None:
    # Two jobs of one submission share the results folder; one would silently replace the other.
    owner: dict[str, _Compiled] = {}
    for index, job in enumerate(compiled):
        clash = next((name for name in sorted(job.files) if name.casefold() in owner), None)
        if clash is not None:
            other = owner[clash.casefold()]
            both = set(job.frames) & set(other.frames)
            errors[f"jobs[{index}].output_prefix"] = [
                f"'{job.spec.name}' and '{other.spec.name}' would both write '{clash}' "
                f"(frames {format_frames(both)}). Give each job its own output_prefix."
            ]
        owner.update({name.casefold(): job for name in job.files})
