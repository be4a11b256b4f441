"""From the published request to what the farm and the journal need. Pure but for `uuid4`, and
for what `watches` looks at.

All mistakes are collected, so that a caller sees them at once.
"""

import re
from dataclasses import dataclass
from uuid import uuid4

from farm_protocol.faults import fault_text
from farm_protocol.jobs import Budget, BudgetAction, JobSpec, SubmissionSpec
from farm_protocol.paths import UnsafePathError, canonical, check_segment
from pydantic import JsonValue, ValidationError

from envoy.errors import Errors, InvalidRequestError
from envoy.journal import Watch
from envoy.submissions.watches import watches_of
from envoy.submissions.wire import FileGroup, JobBody, Params, SubmitBody

RESULTS_FOLDER = "render_results"
_OURS = ("instances", "machine_type", "plugins", "credits_budget", "test_frames_first")
_OBSOLETE = ("output_dir_name", "billing_meta")
"""Fields in which old clients told the farm about its own storage and invoices."""
_HOUDINI = "hou"
_PARAMS_OF_HOUDINI = (
    "project_env",
    "project_param",
    "project_param_output",
    "project_summary_log_file",
)
"""Parameters of a project that mean nothing to its jobs of other products."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The meaning of one submission. ``groups`` is empty when nothing is to be uploaded."""

    spec: SubmissionSpec
    groups: tuple[FileGroup, ...]
    watches: tuple[Watch, ...]


def compose(body: SubmitBody) -> Plan:
    """Return the plan of a request.

    Raises:
        InvalidRequestError: names every field that is wrong.
    """
    errors: Errors = {}
    request, params = body.project_request, body.project_request.params
    project = project_name(body, errors)
    name = params.submission_name or request.name or "submission"
    output_folder = _output_folder(body, project, name, errors)
    jobs = [
        _job(job, params.shared, project, f"jobs[{n}]", errors)
        for n, job in enumerate(request.jobs)
    ]
    if not jobs:
        errors.setdefault("jobs", []).append("A submission needs at least one job.")
    if errors:
        raise InvalidRequestError(errors)
    watches = watches_of(body, output_folder, errors)
    if errors:
        raise InvalidRequestError(errors)
    try:
        spec = SubmissionSpec(
            id=uuid4().hex,
            project=project,
            name=name,
            output_folder=output_folder,
            jobs=[job for job in jobs if job],
        )
    except ValidationError as error:
        raise InvalidRequestError(_faults(error, "")) from error
    groups = () if body.skip_upload else tuple(body.project_files)
    return Plan(spec, groups, watches)


def project_name(body: SubmitBody, errors: Errors) -> str:
    """Return the project's name, or "" after noting what is wrong with it."""
    request = body.project_request
    paths = [group.remote_root for group in body.project_files]
    paths += [request.params.remote_output_folder, *(job.path for job in request.jobs)]
    first = next((path for path in paths if path.strip("/")), "")
    name = request.params.project_name or first.strip("/").split("/", 1)[0]
    try:
        return check_segment(name)
    except UnsafePathError as error:
        message = str(error) if name else "The request does not say which project it is for."
        errors.setdefault("project_name", []).append(message)
        return ""


def _output_folder(body: SubmitBody, project: str, name: str, errors: Errors) -> str:
    params = body.project_request.params
    if not project:
        return ""
    remote = params.remote_output_folder or _old_output_folder(body, project)
    if not remote:
        folder = params.output_folder_name or usable_name(name)
        remote = f"{project}/{RESULTS_FOLDER}/{folder}"
    field = "output_folder_name" if params.output_folder_name else "remote_output_folder"
    try:
        folder = canonical(remote.rstrip("/"))
    except UnsafePathError as error:
        errors.setdefault(field, []).append(str(error))
        return ""
    if not folder.startswith(f"{project}/"):
        message = f"'{remote}' is not inside the project '{project}'."
        errors.setdefault(field, []).append(message)
    return folder


def _old_output_folder(body: SubmitBody, project: str) -> str:
    """Return the folder that old clients name in each job, if they do; the first one counts."""
    for job in body.project_request.jobs:
        named = job.params.get("output_dir_name")
        if isinstance(named, str) and named.strip("/"):
            clean = named.strip("/")
            inside = clean.startswith(f"{project}/")
            return clean if inside else f"{project}/{RESULTS_FOLDER}/{clean}"
    return ""


def usable_name(name: str) -> str:
    """Return ``name`` with characters replaced that folders cannot have ("14:43" -> "14-43")."""
    clean = re.sub(r'[<>:"/|?*\\\x00-\x1f\x7f-\x9f]', "-", name).strip(". ")
    try:
        return check_segment(clean.encode()[:200].decode(errors="ignore").rstrip(". "))
    except UnsafePathError:
        return f"results-{clean[:50]}".rstrip("-. ")


def _job(job: JobBody, shared: Params, project: str, where: str, errors: Errors) -> JobSpec | None:
    strange = () if job.app == _HOUDINI else _PARAMS_OF_HOUDINI
    given = {key: value for key, value in shared.items() if key not in strange} | job.params
    params = {key: value for key, value in given.items() if key not in (*_OURS, *_OBSOLETE)}
    if job.app != _HOUDINI or _names_storage(params.get("output_upload"), project):
        params.pop("output_upload", None)
    name = job.name or job.app or "job"
    before = sum(map(len, errors.values()))

    def refuse(field: str, message: str) -> None:
        errors.setdefault(f"{where}.{field}", []).append(message)

    path = job.path
    if path:
        try:
            path = canonical(path)
        except UnsafePathError as error:
            refuse("path", str(error))
    instances = _instances(given.get("instances"))
    if instances is None:
        refuse("instances", f"{given['instances']!r} is not a whole number, 0 or more.")
    machine_type = given.get("machine_type") or ""
    if not isinstance(machine_type, str):
        refuse("machine_type", f"{machine_type!r} is not the id of a machine type.")
    test_first = _yes_or_no(given.get("test_frames_first"))
    if test_first is None:
        refuse("test_frames_first", f"{given['test_frames_first']!r} is neither true nor false.")
    try:
        budget = _budget(given.get("credits_budget"))
    except ValueError as error:
        refuse("credits_budget", str(error))
    plugins = _plugins(given.get("plugins"))
    if plugins is None:
        refuse("plugins", "Plug-ins must be a list of short codes, such as 'hou_redshift:2.6.38'.")
    if sum(map(len, errors.values())) > before:
        return None
    try:
        return JobSpec(
            id=job.id or uuid4().hex,
            name=name,
            app=job.app,
            app_version=job.app_version,
            operation=job.operation or "render",
            path=path,
            instances=instances or 0,
            machine_type=str(machine_type),
            plugins=plugins or [],
            budget=budget,
            params=params,
            dependencies=job.dependencies,
            test_frames_first=bool(test_first),
        )
    except ValidationError as error:
        errors |= _faults(error, f"{where}.")
        return None


def _names_storage(patterns: JsonValue, project: str) -> bool:
    """Return whether patterns are expressions for remote paths, as old clients send them.

    They told the farm what to keep of the results folder, and meant all of it. Houdini's patterns,
    which the farm accepts, match file names.
    """
    texts = (
        [each for each in patterns if isinstance(each, str)] if isinstance(patterns, list) else []
    )
    return any(each.replace("\\", "").startswith(f"/{project}/") for each in texts)


def _instances(value: JsonValue) -> int | None:
    """Return a number of instances; "", None and 0 all mean the plan's default, 0."""
    if value is None or value == "":
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return int(number) if number >= 0 and number.is_integer() else None


def _yes_or_no(value: JsonValue) -> bool | None:
    """Return a switch; "" and None mean off. Plug-ins send texts. None: the value is invalid."""
    words = {"": False, "none": False, "false": False, "0": False, "true": True, "1": True}
    return words.get(str(value).strip().lower())


def _plugins(value: JsonValue) -> list[str] | None:
    """Return plug-ins as a list; a single one may be a text."""
    if not value:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        texts = [item for item in value if isinstance(item, str)]
        return texts if len(texts) == len(value) else None
    return None


def _budget(value: JsonValue) -> Budget | None:
    """Return a budget; 0 or less means none. Raises ValueError with a message."""
    if not value:
        return None
    try:
        if isinstance(value, dict) and float(value.get("value") or 0) <= 0:  # type: ignore[arg-type]
            return None
        return Budget.model_validate(value)
    except (OverflowError, TypeError, ValueError):
        actions = ", ".join(BudgetAction)
        raise ValueError(
            f"A budget needs a value (a number of credits) and an action ({actions})."
        ) from None


def _faults(error: ValidationError, prefix: str) -> Errors:
    found: Errors = {}
    for fault in error.errors(include_url=False):
        field = ".".join(str(part) for part in fault["loc"])
        found.setdefault(f"{prefix}{field}", []).append(fault_text(fault))
    return found
