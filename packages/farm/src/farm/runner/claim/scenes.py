"""Has a scene read by a process that is ended when it takes too long, or when the claim is over.

It has no more rights than the renderer, and where there is a sandbox it sees nothing but the
project and writes nothing: in the folder of a scene a renderer may put links, to what is somebody
else's. What it answers may come from a scene. The renderer has not begun then, and nothing else
holds what a scene makes of its reader to limits.
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
"""Bytes of address space: what a renderer of the job may have, but within these."""
_SECONDS, _BYTES_A_SECOND = 30, 8 << 20
"""Of processor time: seconds that any scene may take, and bytes of a larger one for each second
more. Modules search a hundred times as fast, and read text ten times as fast."""
_SLOWER = 10
"""How many times as long it may take by the clock, on a slow disk or a machine that is busy."""
_POLL_SECONDS = 0.1
_MOST_ANSWER = 16 << 20
_KILLED = 128
"""A sandbox ends with this and the number of the signal that has killed what was inside."""


class ReadingEndedError(Exception):
    """The claim was over before its scene was read."""


def read_scene(
    module: Path,
    scene: Path,
    values: Mapping[str, str],
    place: Workplace,
    mode: SandboxMode,
    memory_bytes: int,
    is_over: Callable[[], bool],
) -> tuple[SceneFiles, Path]:
    """Return what a scene says of its files, and the file that holds the text of its copy.

    Parameters:
        module: of the product, see `farm.products.load_scene_module`.
        values: all parameters, as texts.
        place: in which the scene lies.
        mode: what the operator wants of sandboxes.
        memory_bytes: that a renderer of the job may have.
        is_over: whether nobody waits for the claim any more; asked often.

    Raises:
        SceneError: it cannot be rendered as asked, or takes too much time or memory to be read.
        ReadingEndedError: the claim is over.
        OSError: it cannot be read, or nobody can tell whether there is a sandbox.
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
    # Without one, the account would find no way to a project for which the renderer has another.
    mode = mode if account is None else "auto"
    read = (place.project, module.parent)
    line = command("farm.runner.claim.scene_reader", mode, read=read, account=account)
    said = place.orders / "scene.answer"
    with said.open("w+b") as answer:
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
    said.unlink()
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
            told: bytes | None = question
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if is_over():
                    raise ReadingEndedError
                try:
                    process.communicate(told, _POLL_SECONDS)
                    return process.returncode
                except subprocess.TimeoutExpired:
                    told = None  # It goes on with that by itself.
            return None
        finally:
            end(process)


def _found(line: bytes) -> SceneFiles:
    """Return what an answer says. Raises SceneError and OSError."""
    match ANSWERS.validate_json(line):
        case Wrong(wrong=message):
            raise SceneError(message)
        case Unreadable(error=error):
            raise OSError(*error)
        case Found(found=found):
            pass
    # Folders are made for these, by somebody who may do more than the scene.
    for name, _ in found.patterns or ():
        try:
            is_plain = canonical(name) == name
        except UnsafePathError:
            is_plain = False
        if not is_plain:
            raise SceneError(f"The scene gives a file the name '{name[:100]}'. Rename it.")
    return found
