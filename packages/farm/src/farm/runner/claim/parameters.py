"""Values for a template: the job's parameters, and those that only the runner knows."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from farm_protocol.path_maps import path_map_of
from farm_protocol.runner import RunnerJob

from farm.jobs.frames import parse_frames
from farm.products import SHARED, SceneError, SceneFiles, Template, as_text
from farm.renderers import Renderer
from farm.runner.claim.scenes import read_scene
from farm.runner.claim.session import frame_range
from farm.runner.limits.amounts import Limits
from farm.runner.sandbox.confinement import Sandbox
from farm.runner.workplace import Workplace

_MOST_FILES = 500_000
"""Limit for a claim, since the program is told the names of each one."""


def frames_of(job: RunnerJob, template: Template, claimed: Sequence[int]) -> Sequence[int]:
    """Return the frames of a claim, ascending.

    A job that is done as a whole has one frame for the farm, but all of its frames here.
    """
    listed = str(job.parameters.get(template.frames) or "")
    return sorted(parse_frames(listed)) if template.whole and listed else claimed


def values_of(
    job: RunnerJob,
    template: Template,
    renderer: Renderer,
    place: Workplace,
    sandbox: Sandbox,
    frames: Sequence[int],
    limits: Limits,
    is_over: Callable[[], bool],
) -> dict[str, str]:
    """Return all parameters of the template, as texts.

    Names that the template does not document are dropped: a job must not set ours.

    Parameters:
        limits: of the renderer, which also apply to reading its scene.
        is_over: returns whether the claim is over; called often.

    Raises:
        farm.products.SceneError: the scene cannot be rendered as asked.
        farm.runner.claim.scenes.ReadingEndedError: the claim ended first.
        OSError: the scene cannot be read.
    """
    given = {p.name: job.parameters.get(p.name) for p in template.parameters}
    values = {name: as_text(value) for name, value in given.items() if value is not None}
    values |= {
        "Python": sys.executable,
        "Scripts": str(template.scripts),
        "Shared": str(SHARED),
        "RendererKind": renderer.kind,
        "Renderer": renderer.command[0],
        "Plugins": ",".join(job.plugins),
        "Colours": json.dumps([str(each) for each in renderer.colours]),
        "SceneFile": str(place.project / job.scene.lstrip("/")),
        "PathMap": str(place.project / path_map_of(job.scene.lstrip("/"))),
        "ProjectFolder": str(place.project),
        "ProjectRoot": str(place.project / job.scene.lstrip("/").split("/")[0]),
        "OutputFolder": str(place.output),
        "PartialFolder": str(place.partial),
        "HomeFolder": str(place.home),
        "Sandbox": str(sandbox.file),
        "Whole": as_text(template.whole),
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
        found, copy = None, None
        if template.scene_module is not None:
            found, text = read_scene(
                template.scene_module,
                scene,
                values,
                place,
                sandbox.mode,
                limits.memory_bytes,
                is_over,
            )
            _make_folders(found, place.partial, limits, len(frames))
            if found.copied:
                found, beside = _with_copy(found, job, values)
                copy = (text, place.project / beside)
        content = template.drive.orders(values, frames, names, extension, found, copy)
        orders.write_text(json.dumps(content), encoding="utf-8")
        values["Orders"] = str(orders)
    return {name: value for name, value in values.items() if name in template.declared}


def _with_copy(
    found: SceneFiles, job: RunnerJob, values: Mapping[str, str]
) -> tuple[SceneFiles, str]:
    """Return the scene's answer, with its copy in place of a file, and where the copy goes."""
    if found.copied == "SceneFile":
        beside = _name_beside(job.scene.lstrip("/"), job)
        return replace(found, scene=Path(values["ProjectFolder"]) / beside), beside
    beside = _name_beside(values[found.copied].lstrip("/"), job)
    return replace(found, values={**found.values, found.copied: beside}), beside


def _name_beside(path: str, job: RunnerJob) -> str:
    """Return an unused remote path in the same folder as another one."""
    folder, slash, name = path.rpartition("/")
    # Some disks ignore case.
    within = f"{folder}{slash}".casefold()
    files = (each.path.casefold() for each in job.files)
    taken = {file[len(within) :].partition("/")[0] for file in files if file.startswith(within)}
    names = (f".farm-{f'{n}-' * (n > 0)}{name}" for n in count())
    return folder + slash + next(each for each in names if each.casefold() not in taken)


def _make_folders(found: SceneFiles, partial: Path, limits: Limits, frames: int) -> None:
    """Create the folders that a program writes into, unless there would be too many files."""
    patterns = found.patterns or ()
    if len(patterns) > limits.files:
        raise SceneError(
            f"The scene writes {len(patterns)} files per frame, but its machine type"
            f" allows {limits.files}."
        )
    if len(patterns) * frames > _MOST_FILES:
        raise SceneError(
            f"The scene writes {len(patterns)} files for each of {frames} frames, but one"
            f" claim may have {_MOST_FILES:,} files. Split it into jobs that write fewer"
            " files per frame."
        )
    for folder in {(partial / written).parent for written, _ in patterns}:
        folder.mkdir(parents=True, exist_ok=True)
