"""``python -m farm.runner``: arguments, environment and signals of a runner."""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from farm_protocol.runner import TOKEN_VARIABLE

from farm.runner.loop import work
from farm.runner.report import Farm

_WRONG_USE = 2


def main() -> int:
    """Run until nothing is left to render; return the exit code (see `farm.runner.loop`)."""
    parser = argparse.ArgumentParser(prog="python -m farm.runner", description=__doc__)
    parser.add_argument("--farm", required=True, metavar="URL", help="the farm's address")
    parser.add_argument("--work-dir", required=True, type=Path, help="where to put the job's files")
    parser.add_argument("--blender", help="a Blender, or a Python with bpy, to use and no other")
    options = parser.parse_args()
    # Out of the environment at once: the renderer's is made from ours.
    token = os.environ.pop(TOKEN_VARIABLE, "")
    if not token:
        parser.error(f"The environment variable {TOKEN_VARIABLE} must hold the runner's token.")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    farm = Farm(options.farm, token)
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        farm.hurry()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        return work(farm, options.work_dir, options.blender, stopping)
    finally:
        farm.close()


if __name__ == "__main__":
    sys.exit(main())
