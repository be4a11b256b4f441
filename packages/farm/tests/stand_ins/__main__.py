"""Become one of the programs: ``python .../stand_ins MODULE.FUNCTION ARGUMENTS``."""

import importlib
import io
import sys
from pathlib import Path

# Python put this folder there; its modules are members of a package.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stand_ins._common import RefusedError  # noqa: E402


def run() -> None:
    """Call the named function with the arguments after it; its result is the exit code."""
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        # Whole lines at once, as a renderer that is followed writes them; any file name can be
        # printed.
        stream.reconfigure(encoding="utf-8", errors="surrogateescape", line_buffering=True)
    module, function = sys.argv[1].split(".")
    program = getattr(importlib.import_module(f"stand_ins.{module}"), function)
    try:
        sys.exit(program(sys.argv[2:]))
    except RefusedError as refusal:
        print(*refusal.lines, sep="\n", file=sys.stderr)
        sys.exit(refusal.code)


run()
