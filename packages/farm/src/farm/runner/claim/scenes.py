"""Reads a scene in a process that is ended when it takes too long, or when the claim is over.

It has no more rights than the renderer, and in a sandbox it sees only the project and writes
nothing: a renderer may put links to other people's files into the folder of a scene. Its answer may
be controlled by the scene. At this point the renderer has not started, and nothing else limits what
a scene makes its reader do.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from farm_protocol.paths import UnsafePathError, canonical
from farm_protocol.runner import SandboxMode

from farm.confine.ending import end
from farm.confine.own_limits import NOBODY
from farm.confine.readers import command, environment
from farm.products import SceneError, SceneFiles
from farm.runner.claim.scene_messages import ANSWERS, Found, Question, Unreadable, Wrong
from farm.runner.workplace import Workplace

_LEAST_MEMORY, _MOST_MEMORY = 1 << 30, 4 << 30
"""Bytes of address space: as for a renderer of the job, but within this range."""
_SECONDS, _BYTES_A_SECOND = 30, 8 << 20
"""Processor time: seconds for any scene, and bytes of a larger one per additional second. Modules
search a hundred times as fast, and read text ten times as fast.
"""
_SLOWER = 10
"""Factor for wall-clock time, for a slow disk or a busy machine."""
_POLL_SECONDS = 0.1
_MOST_ANSWER = 16 << 20
_KILLED = 128
"""A sandbox exits with this plus the number of the signal that killed the program inside."""


class ReadingEndedError(Exception):
    """The claim ended before its scene was read."""


def read_scene(
    module: Path,
    scene: Path,
    values: Mapping[str, str],
    place: Workplace,
    mode: SandboxMode,
    memory_bytes: int,
    is_over: Callable[[], bool],
) -> tuple[SceneFiles, Path]:
    """Return what a scene says about its files, and the file with the text of its copy.

    Parameters:
        module: the product's module, see `farm.products.load_scene_module`.
        values: all parameters, as texts.
        place: the folders that contain the scene.
        mode: the operator's setting for sandboxes.
        memory_bytes: memory that a renderer of the job may have.
        is_over: returns whether the claim is over; called often.

    Raises:
        SceneError: it cannot be rendered as asked, or takes too much time or memory to be read.
        ReadingEndedError: the claim is over.
        OSError: it cannot be read, or it is unknown whether there is a sandbox.
    """
    seconds = _SECONDS + scene.lstat().st_size // _BYTES_A_SECOND
    account = place.account
    question = Question(
        module=module,
        scene=scene,
        partial=place.partial,
        values=dict(values),
        memory=min(_MOST_MEMORY, max(_LEAST_MEMORY, memory_bytes)),
        seconds=seconds,
        user=NOBODY if account is None else account.uid,
        group=NOBODY if account is None else account.gid,
    )
    asked = question.model_dump_json().encode()
    # Without one, the account would have no access to a project whose renderer has another account.
    mode = mode if account is None else "auto"
    read = (place.project, module.parent)
    line = command("farm.runner.claim.scene_reader", mode, read=read, account=account)
    answer_file = place.orders / "scene.answer"
    with answer_file.open("w+b") as answer:
        code = _run(line, answer, asked, seconds * _SLOWER, is_over)
        if code is None or code < 0 or code > _KILLED:
            raise SceneError(f"{scene.name} takes too long, or too much memory, to be read.")
        if code > 0:
            raise RuntimeError(f"the reader of scenes ended with exit code {code}")
        answer.seek(0)
        found = _found(answer.readline(_MOST_ANSWER))
        text = place.orders / "scene.copy"
        with text.open("wb") as copy:
            shutil.copyfileobj(answer, copy)
    answer_file.unlink()
    return found, text


def _run(
    line: list[str],
    answer: IO[bytes],
    question: bytes,
    seconds: float,
    is_over: Callable[[], bool],
) -> int | None:
    """Run the process; return its exit code, or None when it takes too long."""
    process = subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=answer,
        cwd="/",
        env=environment(),
        start_new_session=True,
    )
    with process:
        try:
            unsent: bytes | None = question
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if is_over():
                    raise ReadingEndedError
                try:
                    process.communicate(unsent, _POLL_SECONDS)
                    return process.returncode
                except subprocess.TimeoutExpired:
                    unsent = None  # It continues with that by itself.
            return None
        finally:
            end(process)


def _found(line: bytes) -> SceneFiles:
    """Return the content of an answer. Raises SceneError and OSError."""
    match ANSWERS.validate_json(line):
        case Wrong(wrong=message):
            raise SceneError(message)
        case Unreadable(error=error):
            raise OSError(*error)
        case Found(found=found):
            pass
    # Folders are created for these, by an account with more rights than the scene.
    for name, _ in found.patterns or ():
        try:
            is_plain = canonical(name) == name
        except UnsafePathError:
            is_plain = False
        if not is_plain:
            raise SceneError(f"The scene gives a file the name '{name[:100]}'. Rename it.")
    return found
