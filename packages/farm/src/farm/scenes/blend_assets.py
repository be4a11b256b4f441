"""Which files a .blend needs that its project does not have.

Blender renders without a word when a texture is missing, and exits with 0: magenta is all that
tells. So it is asked before: each file that the scene or a library of it names is looked for among
the project's remote paths, exactly as written. What is packed into a .blend is not looked for.

What is found is a hint, not a proof. Everything in a library counts, also what the scene does not
link; a cache may never have been baked; a script may know better. And BAT does not see everything:
OSL scripts, and the settings of add-ons, for example.

* `farm.scenes.asset_paths` says which remote path is meant, and what counts as found
* `farm.scenes.blend_trace` reads the .blend files, in a process of its own
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from farm_protocol.path_maps import path_map_of
from pydantic import TypeAdapter, ValidationError

from farm.confine.ending import end
from farm.confine.readers import DEFAULT, Readers, command, environment, inheritable
from farm.scenes.asset_paths import Difference, Manifest, expected_path, how_they_differ
from farm.scenes.mapped import mapped
from farm.scenes.scene_maps import Rules, rules_in
from farm.scenes.trace_messages import Blend, Named, Question, Unreadable
from farm.scenes.usages import AssetKind, Usage

__all__ = [
    "AssetKind",
    "MissingAsset",
    "UnreadableBlendError",
    "is_blend",
    "missing_assets",
    "usages",
]

SECONDS = 60.0
"""A scene of 5,000 objects with a material each (140 MB) takes 2."""
_MOST_BLENDS = 1000
_MOST_ANSWER = 64 * 1024**2
_ANSWERS: TypeAdapter[Named | Unreadable] = TypeAdapter(Named | Unreadable)
_SIGNALS = 128
"""bubblewrap's exit code is this and the number of the signal that ended its program."""


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


class UnreadableBlendError(Exception):
    """A .blend cannot be looked through: nothing is known about what it needs.

    ``path``: its remote path. ``str()``: a message for people.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


def is_blend(path: str) -> bool:
    """Return whether a file of this name may be linked as a .blend: only such files are read."""
    # Also shot.blend1: a backup can be linked like any other.
    return ".blend" in path.rpartition("/")[2].lower()


def missing_assets(
    scene: str,
    files: Mapping[str, Path],
    seconds: float = SECONDS,
    readers: Readers = DEFAULT,
) -> list[MissingAsset]:
    """Return what a scene and the libraries that it links need and the project does not have.

    Reads the .blend files only, never writes to them, and blocks until it is done.

    Parameters:
        scene: remote path of a .blend, without a leading slash; one of ``files``.
        files: every file of the project: where its bytes lie on this disk, by remote path.
        seconds: when to give up.
        readers: of the process that reads.

    Raises:
        UnreadableBlendError: the scene or one of its libraries is damaged, of an unknown format,
            or too large to be looked through within the limits.
        OSError, subprocess.CalledProcessError: the reader cannot be started, or is broken itself;
            its error output is this process's.
    """
    manifest = Manifest(files)
    rules = rules_in(files.get(path_map_of(scene)))
    places = mapped(rules)
    missing = []
    for usage in usages(scene, files, seconds, readers, rules):
        expected = expected_path(usage.path, usage.used_by)
        meant = [expected] if expected else []
        meant += places.meant(usage.path, usage.used_by)
        if any(manifest.has(each, usage.is_sequence) for each in meant):
            continue
        missing.append(
            MissingAsset(
                path=usage.path,
                used_by=usage.used_by,
                kind=usage.kind,
                data_block=usage.data_block,
                expected=expected,
                similar=manifest.similar(expected, usage.is_sequence) if expected else None,
            )
        )
    return missing


def usages(
    scene: str,
    files: Mapping[str, Path],
    seconds: float = SECONDS,
    readers: Readers = DEFAULT,
    rules: Rules = (),
) -> list[Usage]:
    """Return which files a scene and the libraries that it links name.

    As `missing_assets`, which says what the parameters are and what is raised.

    Parameters:
        rules: of the scene's map, by which libraries are found.
    """
    names = [path for path in files if is_blend(path)]
    blends = {name: files[name].resolve() for name in [scene, *names]}
    if len(blends) > _MOST_BLENDS:
        raise UnreadableBlendError(
            scene,
            f"{scene} cannot be checked: the project has more than {_MOST_BLENDS} .blend files.",
        )
    # Where compressed files are expanded: a process that is killed leaves them behind.
    with (
        _opened(blends) as held,
        readers.own_folder("blend-") as folder,
        TemporaryFile() as output,
    ):
        told = {name: Blend(str(path), held.get(path)) for name, path in blends.items()}
        try:
            _trace(
                command("farm.scenes.blend_trace", readers.mode, written=folder),
                json.dumps(asdict(Question(scene, told, rules))).encode(),
                output,
                tuple(held.values()),
                seconds,
                environment(folder),
            )
        except subprocess.TimeoutExpired:
            raise UnreadableBlendError(
                scene,
                f"{scene} and its libraries could not be read within {seconds:.0f} seconds.",
            ) from None
        except subprocess.CalledProcessError as error:
            if 0 < error.returncode <= _SIGNALS:  # not ended by a signal: the scene is not to blame
                raise
            raise UnreadableBlendError(
                scene,
                f"{scene} cannot be read: it is damaged, or needs too much memory or time.",
            ) from None
        output.seek(0)
        said = output.read(_MOST_ANSWER + 1)
    return _answered(scene, said)


def _answered(scene: str, said: bytes) -> list[Usage]:
    if len(said) > _MOST_ANSWER:
        raise UnreadableBlendError(scene, f"{scene} cannot be checked: it names too many files.")
    try:
        answer = _ANSWERS.validate_json(said)
    except ValidationError:
        # Who reads a scene may be in its hands.
        raise UnreadableBlendError(
            scene,
            f"{scene} cannot be read: it is damaged, or needs too much memory or time.",
        ) from None
    if isinstance(answer, Unreadable):
        raise UnreadableBlendError(
            answer.path,
            f"{answer.path} cannot be read: it is damaged, or not a .blend file of a"
            f" known version ({answer.reason}).",
        )
    return list(answer.usages)


def _trace(
    line: list[str],
    question: bytes,
    output: IO[bytes],
    held: tuple[int, ...],
    seconds: float,
    variables: Mapping[str, str],
) -> None:
    """Run the program that reads; raises what `subprocess.run` does."""
    with subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=output,
        pass_fds=held,
        env=variables,
        start_new_session=True,
    ) as process:
        try:
            process.communicate(question, seconds)
        finally:
            end(process)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, line)


@contextmanager
def _opened(blends: Mapping[str, Path]) -> Iterator[dict[Path, int]]:
    """Yield descriptors of the files, for a process that may not open them; none on Windows."""
    held: dict[Path, int] = {}
    try:
        if sys.platform != "win32":
            for path in set(blends.values()):
                with path.open("rb") as file:
                    held[path] = inheritable(file.fileno())
        yield held
    finally:
        for descriptor in held.values():
            os.close(descriptor)
