"""Has a scene read by a process that is ended when it takes too long, or when the claim is over.

The renderer has not begun then, and nothing else holds what a scene makes of its reader to limits.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from farm.confine.readers import command
from farm.products import SceneError, SceneFiles

_LEAST_MEMORY, _MOST_MEMORY = 1 << 30, 4 << 30
"""Bytes of address space: what a renderer of the job may have, but within these."""
_SECONDS, _BYTES_A_SECOND = 30, 8 << 20
"""Of processor time: seconds that any scene may take, and bytes of a larger one for each second
more. Modules search a hundred times as fast, and read text ten times as fast."""
_SLOWER = 10
"""How many times as long it may take by the clock, on a slow disk or a machine that is busy."""
_POLL_SECONDS = 0.1


class ReadingEndedError(Exception):
    """The claim was over before its scene was read."""


def read_scene(
    module: Path,
    scene: Path,
    partial: Path,
    values: Mapping[str, str],
    memory_bytes: int,
    is_over: Callable[[], bool],
) -> SceneFiles:
    """Return what a scene says of its files.

    Parameters:
        module: of the product, see `farm.products.load_scene_module`.
        partial: folder below which the program is to write.
        values: all parameters, as texts.
        memory_bytes: that a renderer of the job may have.
        is_over: whether nobody waits for the claim any more; asked often.

    Raises:
        SceneError: it cannot be rendered as asked, or takes too much time or memory to be read.
        ReadingEndedError: the claim is over.
        OSError: it cannot be read.
    """
    seconds = _SECONDS + scene.stat().st_size // _BYTES_A_SECOND
    question = {
        "module": str(module),
        "scene": str(scene),
        "partial": str(partial),
        "values": dict(values),
        "memory": min(_MOST_MEMORY, max(_LEAST_MEMORY, memory_bytes)),
        "seconds": seconds,
    }
    # Without a sandbox, whose programs have no rights: it may write a copy beside the scene. What
    # it reads is text, in which nothing is executed.
    line = command("farm.runner.claim.scene_reader", "off")
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as process:
        try:
            said = _wait(process, json.dumps(question).encode(), seconds * _SLOWER, is_over)
        finally:
            process.kill()
    if said is None or process.returncode < 0:
        raise SceneError(f"{scene.name} takes too long, or too much memory, to be read.")
    if process.returncode > 0:
        raise RuntimeError(f"the reader of scenes ended with exit code {process.returncode}")
    return _found(json.loads(said))


def _wait(
    process: "subprocess.Popen[bytes]", question: bytes, seconds: float, is_over: Callable[[], bool]
) -> bytes | None:
    """Return all that the process says; None when it takes too long."""
    told: bytes | None = question
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_over():
            raise ReadingEndedError
        try:
            return process.communicate(told, _POLL_SECONDS)[0]
        except subprocess.TimeoutExpired:
            told = None  # It goes on with that by itself.
    return None


def _found(answer: dict[str, Any]) -> SceneFiles:
    if "error" in answer:
        raise OSError(*answer["error"])
    if "wrong" in answer:
        raise SceneError(answer["wrong"])
    found = answer["found"]
    patterns = found["patterns"]
    return SceneFiles(
        scene=Path(found["scene"]),
        values=found["values"],
        patterns=None if patterns is None else tuple((each[0], each[1]) for each in patterns),
        environment=found["environment"],
        warnings=tuple(found["warnings"]),
    )
