# /// script
# requires-python = ">=3.11"
# dependencies = ["openjd-cli==0.8.0"]
# ///
"""``openjd run``, the peer of `bench.tasks`, in an environment of its own.

openjd-cli asks for older openjd libraries than the farm's runner, so the two cannot be installed
together. uv makes the environment from the lock file beside this script.
"""

import sys

from openjd.cli import main

if __name__ == "__main__":
    sys.exit(main())
