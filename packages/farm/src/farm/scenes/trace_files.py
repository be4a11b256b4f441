"""Which files some .blend files name: a program that Envoy starts on its artist's machine.

    python -m farm.scenes.trace_files     a question: stdin, an answer: stdout

Both are those of `farm_protocol.scene_files`. Envoy has decided whether a .blend may be opened.
Each is read alone, in the sandbox and within the limits of `farm.scenes.blend_assets`: its
libraries are named, but not opened. The program ends with its Envoy.
"""

import ctypes
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from farm_protocol.scene_files import MOST_NAMED, NamedFile, TraceAnswer, TraceQuestion

from farm.scenes.blend_assets import UnreadableBlendError, usages

_AT_A_TIME = 2
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Read the question, and answer it."""
    _end_with_parent(os.getppid())
    blends = TraceQuestion.model_validate_json(sys.stdin.read()).blends
    named: dict[str, list[NamedFile]] = {}
    failures: dict[str, str] = {}
    left = MOST_NAMED
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        for blend, result in zip(blends, threads.map(_trace, blends), strict=True):
            if isinstance(result, str):
                failures[blend] = result
            elif len(result) > left:
                failures[blend] = f"{Path(blend).name} is left out: there are too many files."
            else:
                left -= len(result)
                named[blend] = result
    print(TraceAnswer(usages=named, failures=failures).model_dump_json())


def _end_with_parent(parent: int) -> None:
    """Have the kernel end this process with Envoy (Linux), whichever way that one ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("Envoy has ended.")


def _trace(blend: str) -> list[NamedFile] | str:
    path = Path(blend)
    try:
        found = usages(path.name, {path.name: path})
    except UnreadableBlendError as error:
        return str(error)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"{path.name} cannot be read ({type(error).__name__})."
    return [
        NamedFile(
            path=each.path,
            kind=each.kind,
            data_block=each.data_block,
            is_sequence=each.is_sequence,
            is_needed=each.is_needed,
        )
        for each in found
    ]


if __name__ == "__main__":
    main()
