"""Which files a .blend needs that its project does not have.

Blender renders without a word when a texture is missing, and exits with 0: magenta is all that
tells. So it is asked before: each file that the scene or a library of it names is looked for among
the project's remote paths, exactly as written. What is packed into a .blend is not looked for.

What is found is a hint, not a proof. Everything in a library counts, also what the scene does not
link; a cache may never have been baked; a script may know better. And BAT does not see everything:
OSL scripts, and the settings of add-ons, for example.

* `farm.scenes.blend_trace` reads the .blend files, and looks for what they name, in a process of
  its own with limits: names, maps of paths and the project's files are all made by strangers
* `farm.scenes.missing` says what counts as found
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from farm_protocol.path_maps import path_map_of
from pydantic import TypeAdapter, ValidationError

from farm.confine.ending import end
from farm.confine.readers import DEFAULT, Readers, command, environment, inheritable
from farm.scenes.missing import MissingAsset
from farm.scenes.scene_maps import Rules, rules_in
from farm.scenes.trace_messages import Blend, Lacking, Named, Question, Unreadable
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
_ANSWERS: TypeAdapter[Named | Lacking | Unreadable] = TypeAdapter(Named | Lacking | Unreadable)
_SIGNALS = 128
"""bubblewrap's exit code is this and the number of the signal that ended its program."""


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
    answer = _asked(scene, files, seconds, readers, rules_in(files.get(path_map_of(scene))), True)
    if not isinstance(answer, Lacking):
        raise _unreadable(scene)
    return list(answer.missing)


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
    answer = _asked(scene, files, seconds, readers, rules, False)
    if not isinstance(answer, Named):
        raise _unreadable(scene)
    return list(answer.usages)


def _asked(
    scene: str,
    files: Mapping[str, Path],
    seconds: float,
    readers: Readers,
    rules: Rules,
    compared: bool,
) -> Named | Lacking:
    """Have a scene read, as `usages`; ``compared``: and have its files looked for."""
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
                _written(Question(scene, told, rules, list(files) if compared else None)),
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
            raise _unreadable(scene) from None
        output.seek(0)
        said = output.read(_MOST_ANSWER + 1)
    return _answered(scene, said)


def _written(question: Question) -> bytes:
    """Return a question as its reader expects it: see `farm.scenes.trace_messages`."""
    told = asdict(replace(question, paths=None))
    lines = [json.dumps(told)]
    if question.paths is not None:
        # No path has NUL in it; and of a million, JSON would take seconds.
        lines.append("\0".join(question.paths))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _answered(scene: str, said: bytes) -> Named | Lacking:
    if len(said) > _MOST_ANSWER:
        raise UnreadableBlendError(scene, f"{scene} cannot be checked: it names too many files.")
    try:
        answer = _ANSWERS.validate_json(said)
    except ValidationError:
        # Who reads a scene may be in its hands.
        raise _unreadable(scene) from None
    if isinstance(answer, Unreadable):
        raise UnreadableBlendError(
            answer.path,
            f"{answer.path} cannot be read: it is damaged, or not a .blend file of a"
            f" known version ({answer.reason}).",
        )
    return answer


def _unreadable(scene: str) -> UnreadableBlendError:
    return UnreadableBlendError(
        scene, f"{scene} cannot be read: it is damaged, or needs too much memory or time."
    )


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
