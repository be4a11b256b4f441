"""Asks a product's module about a scene: a program with limits that can be killed.

    python -m farm.runner.claim.scene_reader      a question: stdin, an answer: stdout

Both are those of `farm.runner.claim.scene_messages`.

`farm.runner.claim.scenes` starts it, and decides what it sees. It writes nothing but its answer:
renderers may put links into the folders of scenes.
"""

import contextlib
import signal
import sys
from dataclasses import replace
from types import ModuleType

from farm.confine import is_root
from farm.confine.own_limits import limit, lower
from farm.products import SceneError, load_scene_module
from farm.runner.claim.scene_messages import Found, Question, Unreadable, Wrong

_FILES, _WRITTEN = 64, 1 << 30


def main() -> None:
    """Read the question from standard input, and write its answer."""
    question = Question.model_validate_json(sys.stdin.buffer.read())
    # Before it may no longer be able to find its own files.
    module = load_scene_module(question.module)
    limit(question.memory, _FILES, _WRITTEN, question.user, question.group)
    if is_root():
        sys.exit("Root privileges cannot be dropped on this machine.")
    lower("RLIMIT_CPU", question.seconds, for_good=True)
    if hasattr(signal, "SIGXFSZ"):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    # Output of a module is not an answer.
    with contextlib.redirect_stdout(sys.stderr):
        answer, text = _answer(module, question)
    sys.stdout.buffer.write(answer.model_dump_json().encode() + b"\n")
    sys.stdout.buffer.write(text)


def _answer(module: ModuleType, question: Question) -> tuple[Found | Wrong | Unreadable, bytes]:
    try:
        found = module.read_scene(question.scene, question.partial, question.values)
        return Found(found=replace(found, text="")), found.text.encode()
    except SceneError as error:
        return Wrong(wrong=str(error)), b""
    except OSError as error:
        return Unreadable(error=(error.errno, error.strerror or str(error))), b""
    except MemoryError:
        pass  # Memory that is full is released first.
    return Wrong(wrong=f"{question.scene.name} needs too much memory to be read."), b""


if __name__ == "__main__":
    main()
