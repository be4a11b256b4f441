"""Which files a .blend needs that its project does not have.

Blender renders without a word when a texture is missing, and exits with 0: magenta is all that
tells. So it is asked before: each file that the scene or a library of it names is looked for among
the project's remote paths, exactly as written. What is packed into a .blend is not looked for.

What is found is a hint, not a proof. Everything in a library counts, also what the scene does not
link; a cache may never have been baked; a script may know better. And BAT does not see everything:
OSL scripts, and the settings of add-ons, for example.

* `farm.scenes.asset_paths` says which remote path is meant, and what counts as found
* `farm.scenes.blend_trace` reads the .blend files, in a process of its own
* `farm.scenes.lacks` compares what they name with what the project has, in the same process
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TypeVar

from farm_protocol.inside import open_regular
from farm_protocol.path_maps import path_map_of
from pydantic import TypeAdapter, ValidationError

from farm.confine.ending import end
from farm.confine.readers import DEFAULT, Readers, command, environment, inheritable
from farm.scenes.expanding import to_expand
from farm.scenes.lacks import Lacks, MissingAsset
from farm.scenes.trace_messages import File, Named, Question, Unreadable
from farm.scenes.usages import AssetKind, Usage

__all__ = [
    "AssetKind",
    "Lacks",
    "MissingAsset",
    "NoRoomError",
    "UnreadableBlendError",
    "is_blend",
    "missing_assets",
    "usages",
]

SECONDS = 60.0
"""A scene of 5,000 objects with a material each (140 MB) takes 2."""
_MOST_BLENDS = 1000
_MOST_ANSWER = 64 * 1024**2
_MOST_PATHS = 512 * 1024**2
"""Bytes of all remote paths of a project. A million of common length have a fifth of that."""
_AT_A_TIME = 10_000
_Told = TypeVar("_Told", Named, Lacks)
_NAMED: TypeAdapter[Named | Unreadable] = TypeAdapter(Named | Unreadable)
_LACKS: TypeAdapter[Lacks | Unreadable] = TypeAdapter(Lacks | Unreadable)
_SIGNALS = 128
"""bubblewrap's exit code is this and the number of the signal that ended its program."""


class UnreadableBlendError(Exception):
    """A .blend cannot be read: its needs are unknown.

    ``path``: its remote path. ``str()``: a message for people.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class NoRoomError(UnreadableBlendError):
    """A .blend could be read if there were more room to expand it."""


def is_blend(path: str) -> bool:
    """Return whether a file of this name may be linked as a .blend: only such files are read."""
    # Also shot.blend1: a backup can be linked like any other.
    return ".blend" in path.rpartition("/")[2].lower()


def missing_assets(
    scene: str,
    files: Mapping[str, Path],
    seconds: float = SECONDS,
    readers: Readers = DEFAULT,
) -> Lacks:
    """Return the files that a scene and its libraries need but the project does not have.

    Reads the .blend files and the scene's map only, never writes to them, and blocks until it is
    done. All of it is done by another process.

    Parameters:
        scene: remote path of a .blend, without a leading slash; one of ``files``.
        files: every file of the project: where its bytes lie on this disk, by remote path.
        seconds: when to give up.
        readers: of the process that reads.

    Raises:
        UnreadableBlendError: the scene or one of its libraries is damaged, of an unknown format,
            or too large to be read within the limits.
        NoRoomError: there is too little room to expand one of them.
        farm.errors.StorageFullError: there is too little for the question.
        OSError, subprocess.CalledProcessError: the reader cannot be started, or is broken itself;
            its error output is this process's.
    """
    its_map = files.get(path_map_of(scene))
    return _answered(scene, _said(scene, files, seconds, readers, (its_map, files)), _LACKS)


def usages(
    scene: str,
    files: Mapping[str, Path],
    seconds: float = SECONDS,
    readers: Readers = DEFAULT,
) -> list[Usage]:
    """Return which files a scene and the libraries that it links name.

    As `missing_assets`, which says what the parameters are and what is raised.
    """
    return list(_answered(scene, _said(scene, files, seconds, readers), _NAMED).usages)


def _said(
    scene: str,
    files: Mapping[str, Path],
    seconds: float,
    readers: Readers,
    compared: tuple[Path | None, Iterable[str]] | None = None,
) -> bytes:
    """Return the answer of the reading process.

    Parameters:
        compared: with the scene's map and the paths of the project; None: with nothing.
    """
    blend_paths = islice((path for path in files if is_blend(path)), _MOST_BLENDS + 1)
    names = dict.fromkeys([scene, *blend_paths])
    if len(names) > _MOST_BLENDS:
        raise UnreadableBlendError(
            scene,
            f"{scene} cannot be checked: the project has more than {_MOST_BLENDS} .blend files.",
        )
    blends = {name: files[name].resolve() for name in names}
    its_map, paths = compared or (None, ())
    opened = [*blends.values(), *([its_map] if its_map else [])]
    # Where compressed files are expanded: a process that is killed leaves them behind.
    with (
        _opened(opened) as held,
        readers.own_folder("blend-") as folder,
        TemporaryFile(dir=readers.scratch) as question,
        TemporaryFile() as output,
        readers.room(to_expand(blends.values())) as room,
    ):
        sources = {name: File(str(path), held.get(path)) for name, path in blends.items()}
        map_file = File(str(its_map), held.get(its_map)) if its_map else None
        asked = Question(scene, sources, map_file, has_paths=compared is not None, room=room)
        question.write(json.dumps(asdict(asked)).encode() + b"\n")
        _write(paths, question, scene, readers)
        question.seek(0)
        try:
            _trace(
                command("farm.scenes.blend_trace", readers.mode, written=folder),
                question,
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
        if output.seek(0, os.SEEK_END) > _MOST_ANSWER:
            raise UnreadableBlendError(
                scene, f"{scene} cannot be checked: it names too many files."
            )
        output.seek(0)
        return output.read()


def _write(paths: Iterable[str], file: IO[bytes], scene: str, readers: Readers) -> None:
    """Write remote paths, as described in `farm.scenes.trace_messages`; let others have turns."""
    left, each = _MOST_PATHS, iter(paths)
    while portion := list(islice(each, _AT_A_TIME)):
        content = "".join(f"{path}\0" for path in portion).encode("utf-8", "surrogatepass")
        left -= len(content)
        if left < 0:
            raise UnreadableBlendError(
                scene,
                f"{scene} cannot be checked: the paths of the project's files are too long.",
            )
        readers.check(len(content))
        file.write(content)


def _answered(scene: str, output: bytes, answers: "TypeAdapter[_Told | Unreadable]") -> _Told:
    try:
        answer = answers.validate_json(output)
    except ValidationError:
        # A scene may have taken over the process that reads it.
        raise UnreadableBlendError(
            scene,
            f"{scene} cannot be read: it is damaged, or needs too much memory or time.",
        ) from None
    if isinstance(answer, Unreadable) and answer.lacks_room:
        raise NoRoomError(
            answer.path,
            f"{answer.path} cannot be read: there is too little disk space to expand it.",
        )
    if isinstance(answer, Unreadable):
        raise UnreadableBlendError(
            answer.path,
            f"{answer.path} cannot be read: it is damaged, or not a .blend file of a"
            f" known version ({answer.reason}).",
        )
    return answer


def _trace(
    line: list[str],
    question: IO[bytes],
    output: IO[bytes],
    held: tuple[int, ...],
    seconds: float,
    variables: Mapping[str, str],
) -> None:
    """Run the reading program; raises as `subprocess.run` does."""
    with subprocess.Popen(
        line,
        stdin=question,
        stdout=output,
        pass_fds=held,
        env=variables,
        start_new_session=True,
    ) as process:
        try:
            process.wait(seconds)
        finally:
            end(process)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, line)


@contextmanager
def _opened(files: Iterable[Path]) -> Iterator[dict[Path, int]]:
    """Yield descriptors of the files, for a process that may not open them; none on Windows."""
    held: dict[Path, int] = {}
    try:
        if sys.platform != "win32":
            for path in set(files):
                # Envoy has looked at it; meanwhile others may have put a FIFO in its place.
                with os.fdopen(open_regular(path), "rb") as file:
                    held[path] = inheritable(file.fileno())
        yield held
    finally:
        for descriptor in held.values():
            os.close(descriptor)
