"""A claim as a job of OpenJD.

The farm makes one with sample values of each product that does not come with it, when it starts,
and a runner makes one of each claim: what the first accepts the second does as well. OpenJD is
imported only when it is needed, since that takes a quarter of a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue, ValidationError

from farm.products import Parameter, ProductError, Template, as_text, faults, load_yaml

if TYPE_CHECKING:
    from openjd.model import Step, TaskParameterSet

EXTENSIONS = ("TASK_CHUNKING",)
"""Extensions of OpenJD that templates may use."""


@dataclass(frozen=True)
class OpenJob:
    """What a session needs to run a claim.

    Attributes:
        parameters: of the whole job, in OpenJD's own form.
        step: the only one.
        task: parameters of the only task of the step.
    """

    parameters: Mapping[str, Any]
    step: "Step"
    task: "TaskParameterSet"


def open_job(path: Path, values: Mapping[str, str]) -> OpenJob:
    """Return a claim as a job of OpenJD.

    Parameters:
        path: of the template.
        values: of all parameters that the template declares.

    Raises:
        ProductError: OpenJD refuses the template, or its values.
    """
    from openjd.model import (
        CompatibilityError,
        DecodeValidationError,
        StepParameterSpaceIterator,
        create_job,
        decode_job_template,
        preprocess_job_parameters,
    )
    from openjd.model.v2023_09 import JobTemplate

    content = load_yaml(path.read_text(encoding="utf-8"))
    try:
        template = decode_job_template(template=content, supported_extensions=EXTENSIONS)
        parameters = preprocess_job_parameters(
            job_template=template,
            job_parameter_values=dict(values),
            job_template_dir=Path(),
            current_working_dir=Path(),
            allow_job_template_dir_walk_up=True,
        )
        job = create_job(job_template=template, job_parameter_values=parameters)
        step = job.steps[0]
        tasks = StepParameterSpaceIterator(space=step.parameterSpace)
    except (DecodeValidationError, CompatibilityError, ValueError) as error:
        # Its own text is in the words of pydantic, which knows the same in a better form.
        inner = error.__context__
        told = faults(inner, content, JobTemplate) if isinstance(inner, ValidationError) else ""
        raise ProductError(f"{path}: {told or ' '.join(str(error).split())}") from error
    if len(tasks) != 1:
        raise ProductError(
            f"{path}: steps.0.parameterSpace gives {len(tasks)} tasks for the frames of a claim."
            " A runner runs one: define a single parameter of the type CHUNK[INT] with the range"
            " '{{Param.FrameRange}}' and the defaultTaskCount '{{Param.FrameCount}}'."
        )
    return OpenJob(parameters, step, tasks[0])


def check_open_job(template: Template) -> None:
    """Refuse a template that OpenJD would refuse at a job.

    Raises:
        ProductError: with the file.
    """
    open_job(template.path, _sample(template))


def _sample(template: Template) -> dict[str, str]:
    """Return values as a job and its runner may give them, for all parameters of a template."""
    content = load_yaml(template.path.read_text(encoding="utf-8"))["parameterDefinitions"]
    values = {each["name"]: (each.get("allowedValues") or ["x"])[0] for each in content}
    values |= {each.name: as_text(_value(each)) for each in template.parameters}
    values |= {name: "{}" for name in template.objects}
    values |= {
        "RendererKind": template.app,
        "Whole": as_text(template.whole),
        "FrameRange": "1-3,7",
        "FrameCount": "4",
    }
    return {name: values[name] for name in template.declared}


def _value(parameter: Parameter) -> JsonValue:
    """Return a parameter's default, or any value that it may have."""
    if not parameter.required:
        return parameter.default
    match parameter.type:
        case "bool":
            return False
        case "int" | "float":
            return parameter.minimum or min(0, parameter.maximum or 0)
        case "list":
            return []
        case "object":
            return {}
        case _:
            return next(iter(parameter.choices), "1" * max(1, parameter.shortest))
