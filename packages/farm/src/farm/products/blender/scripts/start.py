"""Execs the renderer: the one command of the Blender template, for both kinds of Blender.

    python start.py --kind=blender|bpy --renderer=PROGRAM --home=FOLDER --sandbox=FILE
                    --plugins=CODES -- ARGUMENTS OF render.py

Only the standard library, any Python 3.10 or newer.
"""

import argparse
import os
import sys

# `shared` lies beside this folder.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared"))

from farm_start import exec_renderer

PYTHON_FAILED = 3
"""Exit code of an exception in render.py, which Blender would otherwise answer with 0."""


VARIABLES = ("OCIO",)
"""Variables that Blender may see: the studio's colour management."""
PLUGIN_VARIABLES = {"blender_vray": ("BLENDER_USER_SCRIPTS", "VRAY_AUTH_CLIENT_FILE_PATH")}
"""Variables that Blender may see when a job has a plug-in: its folders and its licences."""


def command(kind: str, renderer: str, arguments: "list[str]") -> "list[str]":
    """Return the renderer's command line."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "render.py")
    if kind == "bpy":
        # -s -E: neither the user's packages nor PYTHON* variables change what is imported.
        return [renderer, "-s", "-u", script, "--", *arguments]
    options = ["-b", "-noaudio", "--factory-startup", "--disable-autoexec"]
    return [
        renderer,
        *options,
        "--python-exit-code",
        str(PYTHON_FAILED),
        "-P",
        script,
        "--",
        *arguments,
    ]


def main() -> None:
    """Parse the arguments and exec Blender."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=["blender", "bpy"], required=True)
    parser.add_argument("--renderer", required=True)
    parser.add_argument("--home", required=True)
    parser.add_argument("--sandbox", required=True)
    parser.add_argument("--plugins", required=True)
    split = sys.argv.index("--")
    options = parser.parse_args(sys.argv[1:split])
    arguments = sys.argv[split + 1 :]
    codes = [text.partition(":")[0] for text in options.plugins.split(",")]
    of_plugins = [name for code in codes for name in PLUGIN_VARIABLES.get(code, ())]
    line = command(options.kind, options.renderer, arguments)
    exec_renderer(line, options.home, options.sandbox, (*VARIABLES, *of_plugins))


if __name__ == "__main__":
    main()
