"""Which plug-ins a program has, by their files. Nothing is started for it."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from farm.products import Program, Trace
from farm.renderers.places import Places
from farm.renderers.renderer import FoundPlugin, Renderer
from farm.renderers.versions import UNKNOWN, version_in, version_key

_READ_BYTES = 1 << 16
_PRODUCTS_OWN = "&"
"""Houdini's own folders in its lists of paths."""


def find_plugins(
    places: Places, program: Program, version: str, path: Path
) -> tuple[FoundPlugin, ...]:
    """Return the plug-ins that are found, in the order of the data.

    Parameters:
        version, path: of the product's program.
    """
    folder = _folder(program, path)
    names = {"{version}": version, "{series}": program.series_of(version)}
    found: dict[FoundPlugin, None] = {}
    for code, traces in program.plugins.items():
        for trace in traces:
            for pattern in _patterns(places, trace.at, names):
                for proof in places.find(pattern, folder):
                    text = f"{code}:{_version(trace, proof) or UNKNOWN}"
                    found[_found(text, trace, proof, names)] = None
    return tuple(found)


def find_colours(places: Places, program: Program, version: str, path: Path) -> tuple[Path, ...]:
    """Return the OpenColorIO configuration that a program brings along, if it is found.

    Parameters:
        version, path: of the product's program.
    """
    names = {"{version}": version, "{series}": program.series_of(version)}
    for pattern in _patterns(places, program.colours, names):
        if found := places.find(pattern, _folder(program, path)):
            return (found[0].resolve(),)
    return ()


def _folder(program: Program, path: Path) -> Path:
    above = path.resolve().parents
    return above[min(program.levels_up, len(above)) - 1]


def _patterns(
    places: Places, at: Mapping[Any, list[str]], names: Mapping[str, str]
) -> Iterator[str]:
    """Yield the globs for this platform, with a program's own version in them."""
    for pattern in chain(at.get("any", []), at.get(places.platform, [])):
        for name, value in names.items():
            pattern = pattern.replace(name, glob.escape(value))
        yield pattern


def as_plugin(text: str, program: Renderer) -> FoundPlugin:
    """Return another product's program as a plug-in: its user finds it on the PATH.

    Parameters:
        text: the plug-in, as a job requests it.
    """
    folder = Path(program.command[0]).parent
    return FoundPlugin(text, folder, paths=(("PATH", (str(folder),)),), program=program)


def chosen(found: Sequence[FoundPlugin], asked: Iterable[str]) -> list[FoundPlugin]:
    """Return the plug-ins for a job: the requested version, else the newest one.

    Parameters:
        asked: ``<code>`` or ``<code>:<version>``; those that were not found are ignored.
    """
    picked = []
    for text in asked:
        fitting = [each for each in found if each.text == text or _code(each.text) == text]
        # The first of equal ones: a program's own folder comes before others.
        if fitting:
            picked.append(max(fitting, key=lambda each: version_key(each.text)))
    return picked


def environment(
    found: Sequence[FoundPlugin], asked: Iterable[str], inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables with which a program loads a job's plug-ins, and no other plug-ins.

    Parameters:
        inherited: the runner's own variables; their lists of paths are appended, without the places
            of other versions of these plug-ins.
    """
    picked = chosen(found, asked)
    codes = {_code(each.text) for each in picked}
    others = {
        part
        for each in found
        if _code(each.text) in codes and each not in picked
        for _, parts in each.paths
        for part in parts
    }
    lists: dict[str, list[str]] = {}
    variables: dict[str, str] = {}
    for each in picked:
        variables.update(each.variables)
        for name, parts in each.paths:
            lists.setdefault(name, []).extend(parts)
    for name, ours in lists.items():
        theirs = filter(None, inherited.get(name, "").split(os.pathsep))
        all_parts = [*ours, *(part for part in theirs if part not in others or part in ours)]
        variables[name] = os.pathsep.join(_each_once(all_parts))
    return variables


def _each_once(parts: Sequence[str]) -> list[str]:
    """Return each part once, at its first place, but Houdini's own folders after all plug-ins."""
    return [
        part
        for index, part in enumerate(parts)
        if part not in (parts[index + 1 :] if part == _PRODUCTS_OWN else parts[:index])
    ]


def _found(text: str, trace: Trace, proof: Path, names: Mapping[str, str]) -> FoundPlugin:
    folder = proof if proof.is_dir() else proof.parent
    names = {**names, "{place}": str(folder)}
    variables, paths = [], []
    for name, value in trace.environment.items():
        if isinstance(value, str):
            variables.append((name, _filled(value, names)))
        else:
            paths.append((name, tuple(_filled(each, names) for each in value)))
    return FoundPlugin(text, folder, tuple(variables), tuple(paths))


def _filled(text: str, names: Mapping[str, str]) -> str:
    above = "/.." in text
    for name, value in names.items():
        text = text.replace(name, value)
    # By name: the plug-in's folder may be a link to one elsewhere.
    return os.path.normpath(text) if above else text


def _code(text: str) -> str:
    return text.partition(":")[0]


def _version(trace: Trace, proof: Path) -> str | None:
    if trace.path is not None:
        return version_in(trace.path, proof.as_posix())
    if trace.text is not None:
        return _read(trace.text, proof)
    return None


def _read(pattern: re.Pattern[str], path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            text = file.read(_READ_BYTES).decode(errors="replace")
    except OSError:
        return None
    return version_in(pattern, text)
