"""Replaces itself by a program: the one command of most templates.

    python start.py --home=FOLDER --sandbox=FILE [--pass=VARIABLE ...] -- COMMAND ARGUMENTS

The arguments are passed unchanged.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from farm_start import exec_renderer


def main() -> None:
    """Parse the arguments and exec the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", required=True)
    parser.add_argument("--sandbox", required=True)
    parser.add_argument("--pass", dest="passed", action="append", default=[])
    split = sys.argv.index("--")
    options = parser.parse_args(sys.argv[1:split])
    exec_renderer(sys.argv[split + 1 :], options.home, options.sandbox, tuple(options.passed))


if __name__ == "__main__":
    main()
