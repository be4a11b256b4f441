"""Stand-in for ``hython``: a Python with `hou`.

    hython -V | --version
    hython -c CODE [ARGUMENTS]
    hython [OPTIONS] SCRIPT.py [ARGUMENTS]

``hython [options] [-c cmd | -m mod | file] [arg]`` follows Python's own command line [S]; of the
options only ``-u`` is known here, others are refused as Python does, with 2. What ``--version``
prints, ``hython Version 20.5.332``, is a choice of ours, and so is the exit code 3 without licence;
the texts then are those that farms look for [S].
"""

import os
import runpy
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from stand_ins_houdini import VERSION, _hou, _render


def main() -> None:
    """Do what the command line says."""
    licensed, arguments = sys.argv[1] == "licensed", sys.argv[2:]
    if arguments in (["-V"], ["--version"]):
        print(f"hython Version {VERSION}")
        return
    while arguments[:1] == ["-u"]:
        del arguments[0]
    if not arguments:
        sys.exit("The stand-in has no interactive mode.")
    if arguments[0].startswith("-") and (arguments[0] != "-c" or len(arguments) < 2):
        print(f"Unknown option: {arguments[0]}", file=sys.stderr)
        sys.exit(2)
    if not licensed:
        print("\n".join(_render.NO_LICENCE), file=sys.stderr)
        print("RuntimeError: Error encountered when initializing Houdini", file=sys.stderr)
        sys.exit(3)
    _hou.install()
    del sys.path[:2]
    if arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        sys.path.insert(0, "")
        exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})
        return
    sys.argv = arguments
    sys.path.insert(0, os.path.dirname(os.path.abspath(arguments[0])))
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
