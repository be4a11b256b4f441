"""What of the files that a scene names its project does not have. No disk is asked.

How long that takes, the scene, its map of paths and the project decide together: it is done by who
reads the scene, within the limits of `farm.scenes.blend_trace`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from farm.scenes.asset_paths import Difference, Manifest, expected_path, how_they_differ
from farm.scenes.mapped import mapped
from farm.scenes.usages import AssetKind, Usage

_DIFFERENCES = {
    Difference.CASE: "whose upper and lower case differ",
    Difference.ENCODING: "which looks the same, but its accents are encoded differently (Unicode"
    " NFC and NFD, as between macOS and other systems). Rename the file, or link it again",
    Difference.BOTH: "whose upper and lower case differ, and how its accents are encoded (Unicode"
    " NFC and NFD). Rename the file, or link it again",
}


@dataclass(frozen=True)
class MissingAsset:
    """A file that is named and not there. ``str()`` is a message for people.

    Attributes:
        path: as the .blend says it.
        used_by: remote path of the .blend that says it.
        kind: what names it.
        data_block: name of the data-block that names it.
        expected: the remote path that is meant; None when it is outside the project: on the
            artist's own machine, or above the project's folder, and the scene's map knows no place.
        similar: a remote path of the project that differs only in upper and lower case, or in how
            its letters are encoded; mostly None.
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
            f"{who}, which is a path on the computer it was made on. The project has no file that"
            " was gathered from there."
        )


def missing(
    usages: Iterable[Usage], paths: Iterable[str], rules: Iterable[tuple[str, str]]
) -> Iterator[MissingAsset]:
    """Yield what is named and not there.

    Parameters:
        paths: remote paths of the project's files.
        rules: of the scene's map.
    """
    manifest, places = Manifest(paths), mapped(rules)
    for usage in usages:
        expected = expected_path(usage.path, usage.used_by)
        meant = [expected] if expected else []
        meant += places.meant(usage.path, usage.used_by)
        if any(manifest.has(each, usage.is_sequence) for each in meant):
            continue
        yield MissingAsset(
            path=usage.path,
            used_by=usage.used_by,
            kind=usage.kind,
            data_block=usage.data_block,
            expected=expected,
            similar=manifest.similar(expected, usage.is_sequence) if expected else None,
        )
