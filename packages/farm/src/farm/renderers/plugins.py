"""Which plug-ins a program has, by the files that they leave. Nothing is started for it."""

import glob
import re
from itertools import chain
from pathlib import Path

from farm.renderers.places import Places
from farm.renderers.programs import Program, Trace, series, version_in
from farm.renderers.versions import UNKNOWN

_READ_BYTES = 1 << 16


def find_plugins(
    places: Places, app: str, program: Program, version: str, path: Path
) -> tuple[str, ...]:
    """Return ``<code>:<version>`` for each plug-in found; `UNKNOWN` where none is told.

    Parameters:
        version, path: of the product's program.
    """
    above = path.resolve().parents
    folder = above[min(program.levels_up, len(above)) - 1]
    names = {"{version}": version, "{series}": series(app, version)}
    found: dict[str, None] = {}
    for code, traces in program.plugins.items():
        for trace in traces:
            for pattern in chain(trace.at.get("any", []), trace.at.get(places.platform, [])):
                for name, value in names.items():
                    pattern = pattern.replace(name, glob.escape(value))
                for proof in places.find(pattern, folder):
                    found[f"{code}:{_version(trace, proof) or UNKNOWN}"] = None
    return tuple(found)


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
