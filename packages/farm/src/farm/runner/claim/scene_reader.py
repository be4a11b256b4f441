"""Asks a product's module what a scene says: a program with limits, which can be ended.

    python -m farm.runner.claim.scene_reader      a question: stdin, an answer: stdout

The question is JSON, ``{"module", "scene", "partial", "values", "memory", "seconds"}``: where the
module and the scene lie, the folder below which files are written, all parameters, and how much
memory (bytes) and processor time reading may take. The answer is one of

    {"found": {...}}            the fields of `farm.products.SceneFiles`
    {"wrong": message}          the scene cannot be rendered as asked
    {"error": [number, text]}   of an OSError

`farm.runner.claim.scenes` starts it. It has the runner's own rights: modules are the farm's, and
may write a copy of the scene beside it.
"""

import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from farm.confine.own_limits import end_with_starter, lower
from farm.products import SceneError, load_scene_module


def main() -> None:
    """Answer the question."""
    end_with_starter()
    question = json.load(sys.stdin)
    with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of address space
        lower("RLIMIT_AS", question["memory"], for_good=True)
    lower("RLIMIT_CPU", question["seconds"], for_good=True)
    # What a module prints is no answer.
    with contextlib.redirect_stdout(sys.stderr):
        answer = _answer(question)
    sys.stdout.write(answer)


def _answer(question: dict[str, Any]) -> str:
    scene = Path(question["scene"])
    try:
        module = load_scene_module(Path(question["module"]))
        found = module.read_scene(scene, Path(question["partial"]), question["values"])
        return json.dumps({"found": {**asdict(found), "scene": str(found.scene)}})
    except SceneError as error:
        return json.dumps({"wrong": str(error)})
    except OSError as error:
        return json.dumps({"error": [error.errno, error.strerror or str(error)]})
    except MemoryError:
        pass  # What has filled it is let go of first.
    return json.dumps({"wrong": f"{scene.name} needs too much memory to be read."})


if __name__ == "__main__":
    main()
