"""What a template is given: the job's parameters, and those that only the runner knows."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from farm_protocol.runner import RunnerJob

from farm.jobs.frames import parse_frames
from farm.products import SHARED, Template
from farm.renderers import Renderer
from farm.runner.claim.session import frame_range
from farm.runner.workplace import Workplace


def frames_of(job: RunnerJob, template: Template, claimed: Sequence[int]) -> Sequence[int]:
    """Return the frames that a claim is about, ascending.

    A job that is done as a whole has one frame for the farm, and all of its own here.
    """
    listed = str(job.parameters.get(template.frames) or "")
    return sorted(parse_frames(listed)) if template.whole and listed else claimed


def values_of(
    job: RunnerJob,
    template: Template,
    renderer: Renderer,
    place: Workplace,
    sandbox: Path,
    frames: Sequence[int],
) -> dict[str, str]:
    """Return all parameters of the template, as texts.

    Names that the template does not document are dropped: a job must not set ours.

    Raises:
        farm.products.SceneError: the scene cannot be rendered as asked.
        OSError: the scene cannot be read.
    """
    given = {p.name: job.parameters.get(p.name) for p in template.parameters}
    values = {name: _text(value) for name, value in given.items() if value is not None}
    values |= {
        "Python": sys.executable,
        "Scripts": str(template.scripts),
        "Shared": str(SHARED),
        "RendererKind": renderer.kind,
        "Renderer": renderer.command[0],
        "Plugins": ",".join(job.plugins),
        "SceneFile": str(place.project / job.scene.lstrip("/")),
        "ProjectFolder": str(place.project),
        "ProjectRoot": str(place.project / job.scene.lstrip("/").split("/")[0]),
        "OutputFolder": str(place.output),
        "PartialFolder": str(place.partial),
        "HomeFolder": str(place.home),
        "Sandbox": str(sandbox),
        "Whole": _text(template.whole),
        "FrameRange": frame_range(frames),
        "FrameCount": str(len(frames)),
    }
    for name, members in template.objects.items():
        set_ = {member: values[parameter] for member, parameter in members.items()}
        values[name] = json.dumps({member: value for member, value in set_.items() if value})
    if template.drive is not None:
        names = template.output_files(job.parameters, frames)
        extension = template.extension(job.parameters)
        orders = place.orders / "orders.json"
        scene = Path(values["SceneFile"])
        found = template.read_scene(scene, place.partial, values) if template.read_scene else None
        told = template.drive.orders(values, frames, names, extension, found)
        orders.write_text(json.dumps(told), encoding="utf-8")
        values["Orders"] = str(orders)
    return {name: value for name, value in values.items() if name in template.declared}


def _text(value: object) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
