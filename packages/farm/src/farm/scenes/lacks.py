"""Which files that scenes name are missing in a project.

Both inputs may be crafted to take for ever, so this runs in the process that reads the scenes,
within its limits, and ends after some seconds: it reports how many files were not looked for by
then.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from farm.scenes.asset_paths import Difference, Manifest, expected_path, how_they_differ
from farm.scenes.mapped import Mapped
from farm.scenes.usages import AssetKind, Usage

SECONDS = 10.0
"""Seconds of processor time. 10,000 names and a project of 100,000 files take less than one."""
_MOST_ASSETS = 1000
_MOST_TEXT = 1_000_000
"""Characters of the answer, since many answers are kept. Real paths have a hundred."""

_DIFFERENCES = {
    Difference.CASE: "whose upper and lower case differ",
    Difference.BOTH: "whose upper and lower case differ, and how its accents are encoded (Unicode"
    " NFC and NFD). Rename the file, or link it again",
}


@dataclass(frozen=True)
class MissingAsset:
    """A file that is named but does not exist. ``str()`` is a message for people.

    Attributes:
        path: as the .blend writes it.
        used_by: remote path of that .blend.
        kind: the kind of reference.
        data_block: name of the data-block that names it.
        expected: the remote path that is meant; None when it is outside the project (on the
            artist's own machine, or above the project's folder), and the scene's map has no place
            for it.
        similar: a remote path of the project that differs only in case; usually None. One that
            differs only in how its accents are encoded is not missing: `farm_mapping` finds it.
    """

    path: str
    used_by: str
    kind: AssetKind
    data_block: str
    expected: str | None
    similar: str | None

    def __str__(self) -> str:
        who = f"{self.used_by} needs '{self.path}' ({self.kind} '{self.data_block}')"
        if self.similar and self.expected:
            difference = how_they_differ(self.expected, self.similar)
            return f"{who}. The project only has {self.similar}, {_DIFFERENCES[difference]}."
        if self.expected:
            return f"{who}, but the project has no {self.expected}."
        if self.path.startswith("//"):
            return f"{who}, which is outside the project and was not gathered."
        return (
            f"{who}, which is a path on the computer where the scene was saved. The project has no"
            " file from there."
        )


@dataclass(frozen=True, slots=True)
class Lacks:
    """The missing files of a scene and its libraries.

    Attributes:
        assets: the first 1000, fewer if their names are very long.
        more: how many others are missing.
        unknown: how many were not looked for, since that would have taken too long.
    """

    assets: Sequence[MissingAsset]
    more: int = 0
    unknown: int = 0


def lacks(
    usages: Sequence[Usage], paths: Iterable[str], places: Mapped, seconds: float = SECONDS
) -> Lacks:
    """Return which files are missing.

    Parameters:
        usages: the files that are named.
        paths: every remote path of the project.
        places: maps paths of the artist's machine.
        seconds: processor time that this process may use for it.
    """
    until = time.process_time() + seconds
    manifest = Manifest(paths)
    found: list[MissingAsset] = []
    more = text = 0
    known: dict[tuple[str, str, bool], MissingAsset | None] = {}
    for done, usage in enumerate(usages):
        if time.process_time() > until:
            return Lacks(found, more, len(usages) - done)
        asked = usage.path, usage.used_by, usage.is_sequence
        if asked not in known:
            known[asked] = _missing(usage, manifest, places)
        if (asset := known[asked]) is None:
            continue
        text += sum(map(len, (asset.path, asset.expected or "", asset.similar or "")))
        if len(found) < _MOST_ASSETS and text <= _MOST_TEXT:
            found.append(replace(asset, kind=usage.kind, data_block=usage.data_block))
        else:
            more += 1
    return Lacks(found, more)


def _missing(usage: Usage, manifest: Manifest, places: Mapped) -> MissingAsset | None:
    expected = expected_path(usage.path, usage.used_by)
    meant = [expected] if expected else []
    meant += places.meant(usage.path, usage.used_by)
    if any(manifest.has(each, usage.is_sequence) for each in meant):
        return None
    alike = [(each, manifest.similar(each, usage.is_sequence)) for each in meant]
    if any(each and how_they_differ(name, each) is Difference.ENCODING for name, each in alike):
        return None
    return MissingAsset(
        path=usage.path,
        used_by=usage.used_by,
        kind=usage.kind,
        data_block=usage.data_block,
        expected=expected,
        similar=alike[0][1] if expected else None,
    )
