"""Which of this machine's plug-ins a job gets, and what else other products lend."""

from collections.abc import Iterable
from dataclasses import replace

from farm_protocol.runner import RunnerJob

from farm.products import Template
from farm.renderers import (
    ALL,
    Discovery,
    FoundPlugin,
    Renderer,
    RendererError,
    as_plugin,
    in_range,
    version_key,
)


def with_other_programs(
    renderer: Renderer, template: Template, job: RunnerJob, discovery: Discovery
) -> Renderer:
    """Return a renderer with those of a job's plug-ins that are programs of other products.

    Raises:
        RendererError: this machine has no such program.
    """
    others = []
    for text in job.plugins:
        code, _, version = text.partition(":")
        app = template.plugins[code].program if code in template.plugins else ""
        if app:
            there = {each.version: each for each in discovery.of(app)}
            # A plug-in of another version is no substitute for the requested one.
            found = _newest([version] if version else _fitting(job, code, there))
            if found not in there:
                raise RendererError(_lacks(job, code, app, version))
            others.append(as_plugin(f"{code}:{found}", there[found]))
    return replace(renderer, found=(*renderer.found, *others))


def with_colours(
    renderer: Renderer, template: Template, job: RunnerJob, discovery: Discovery
) -> Renderer:
    """Return a renderer with the colour configurations of another product that a job needs.

    Raises:
        RendererError: a configured program of that product does not work.
    """
    app = template.colours_of(job.parameters)
    if not app:
        return renderer
    lent = (path for each in discovery.of(app) for path in each.colours)
    return replace(renderer, colours=tuple(dict.fromkeys(lent)))


def count_missing(renderer: Renderer, template: Template, job: RunnerJob) -> int:
    """Return how many of a job's plug-ins a renderer lacks."""
    return sum(
        not _there(job, text, renderer.found)
        for text in job.plugins
        if not _is_program(template, text) and text not in job.unseen_plugins
    )


def with_versions(job: RunnerJob, renderer: Renderer) -> tuple[list[str], list[str]]:
    """Return a job's plug-ins as ``<code>:<version>``, and remarks on them for its owner.

    Without a requested version, it is the newest on this machine that works with the product's
    version; if none was found, it is the farm's, which the product may find by itself.

    Raises:
        RendererError: the renderer lacks one of them. It would silently render without.
    """
    plugins, warnings = [], []
    for text in job.plugins:
        there = _there(job, text, renderer.found)
        if not there and text not in job.unseen_plugins:
            raise RendererError(_has_none(renderer, text))
        choice = job.plugin_choices.get(text)
        if choice is None:
            plugins.append(text)
            continue
        version = _newest(there) or choice.newest
        plugins.append(f"{text}:{version}" if version else text)
        if choice.newest and version_key(version) < version_key(choice.newest):
            warnings.append(
                f"A render machine does not have {text} {choice.newest} and uses {version}."
                f" Ask for '{text}:{choice.newest}' if all frames must be made with the same"
                " version."
            )
    return plugins, warnings


def _there(job: RunnerJob, text: str, found: Iterable[FoundPlugin]) -> list[str]:
    """Return the installed versions of a plug-in that satisfy the job."""
    code, _, wanted = text.partition(":")
    there = [each.text.partition(":") for each in found]
    versions = [version for name, _, version in there if name == code]
    return [wanted] * (wanted in versions) if wanted else _fitting(job, code, versions)


def _is_program(template: Template, text: str) -> bool:
    code = text.partition(":")[0]
    return code in template.plugins and bool(template.plugins[code].program)


def _fitting(job: RunnerJob, code: str, versions: Iterable[str]) -> list[str]:
    """Return the versions of a plug-in that may be used when a job requests none."""
    ranges = _ranges(job, code)
    return [each for each in versions if any(in_range(each, text) for text in ranges)]


def _ranges(job: RunnerJob, code: str) -> list[str]:
    choice = job.plugin_choices.get(code)
    return choice.ranges if choice else [ALL]


def _newest(versions: Iterable[str]) -> str:
    return max(versions, key=version_key, default="")


def _has_none(renderer: Renderer, plugin: str) -> str:
    return (
        f"The render machine's {renderer.app} {renderer.version} has no plug-in {plugin}."
        " Install it there. If it is in an unusual place, give its version in the farm's"
        " catalogue."
    )


def _lacks(job: RunnerJob, code: str, app: str, version: str) -> str:
    ranges = " or ".join(text for text in _ranges(job, code) if text != ALL)
    wanted = f"{app} {version or ranges}".rstrip()
    return (
        f"The render machine does not have {wanted}, which is the plug-in {code}. Install"
        " it, or give its path."
    )
