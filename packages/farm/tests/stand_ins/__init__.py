"""Stand-ins for renderers that cannot be installed everywhere: Nuke, Maya, Cinema 4D, V-Ray.

Each parses the command line of the real program strictly, refuses what the real one refuses, prints
its progress lines, writes the frames that it was asked for, and fails in the ways that are known of
it. They are for tests: what they draw is a gradient, and their scenes are miniatures of the real
formats that may hold test orders in comments (see `stand_ins._common.Orders`).

Where a stand-in cannot know what the real program does it refuses. Marks in the docstrings of the
modules: [D] the vendor documents it, [S] public source or logs show it, [C] a choice made here.
"""

import shlex
import sys
from pathlib import Path

__all__ = ["PROGRAMS", "install"]

PROGRAMS = {
    "nuke": {"Nuke15.1": "nuke.main"},
    # `Render` has no flag that tells a version; `maya -v`, which lies beside it, does.
    "maya": {"Render": "maya_render.main", "maya": "maya_render.version"},
    "c4d": {"Commandline": "c4d_commandline.main"},
    "vray": {"vray": "vray.main"},
}
"""Product code -> name of each program -> function of this package; the first program renders."""


def install(folder: Path, *products: str) -> dict[str, Path]:
    """Write the executables of some products into a folder, under the real programs' names.

    They work with an empty environment and in any working folder, as long as this checkout and
    this interpreter exist.

    Parameters:
        folder: made when it does not exist.
        products: codes of `PROGRAMS`; all of them when none is given.

    Returns:
        the absolute path of the program that renders, by product code.

    Raises:
        KeyError: there is no stand-in for such a product.
    """
    folder.mkdir(parents=True, exist_ok=True)
    renders: dict[str, Path] = {}
    for product in products or PROGRAMS:
        for name, function in PROGRAMS[product].items():
            program = _write(folder.resolve() / name, function)
            renders.setdefault(product, program)
    return renders


def _write(path: Path, function: str) -> Path:
    # exec: signals meet the stand-in itself. -s -E: nothing of the user's changes what is imported.
    command = [sys.executable, "-s", "-E", str(Path(__file__).resolve().parent), function]
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    path.chmod(0o755)
    return path
