"""Stand-ins for Houdini's `hython`, with a strict `hou`, and for `husk`.

`install` writes an executable that works with an empty environment and in any folder. What it knows
of the real program is marked in its modules: [D] documented by the vendor, [S] seen in public
pipeline code, and the rest is a choice of ours. Whatever the real `hou` lacks, ours lacks: a script
that asks for it gets an AttributeError, as on a render machine.

A ``.hip`` is JSON in miniature; `_scene.Scene` describes it. ``stand_in`` in it holds test orders;
what is a USD stage, and which of the orders it may hold, says `husk`:

    licence     true: rendering fails for want of a licence
    fail_at     this frame: the render fails as Houdini reports it
    lie_at      this frame: nothing is written, nothing is said
    hang_at     this frame: nothing happens any more
    crash_at    this frame: segmentation fault
    truncate    this frame: half of the file is written
    wrong_size  this frame: the image is smaller than asked for
    at_end      true: files appear only after the last frame, as with a renderer in one process
    aov         text: each image has a companion ``<stem>.<text><extension>``
    no_beauty   this frame: only its companions are written
    error_at    this frame: nothing is written, and only the node knows why
    no_devices  true: a GPU renderer finds no device

All modules are Python 3.7, so that scripts can be tried in each Python that Houdini has.
"""

import shlex
import sys
from pathlib import Path

__all__ = ["PROGRAMS", "VERSION", "install"]

PROGRAMS = ("hython", "husk")
VERSION = "20.5.332"


def install(folder: Path, python: "str | None" = None, licensed: bool = True) -> "dict[str, Path]":
    """Write the executables into a folder; return name -> executable.

    Parameters:
        python: the interpreter to play hython's; by default this one. Others write PNG only.
        licensed: whether the programs find a licence when they start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = Path(__file__).resolve().parent
    programs = {}
    for name in PROGRAMS:
        words = [python or sys.executable, "-E", "-s", str(here / (name + ".py"))]
        licence = "licensed" if licensed else "unlicensed"
        command = " ".join(shlex.quote(word) for word in [*words, licence])
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        path.chmod(0o755)
        programs[name] = path
    return programs
