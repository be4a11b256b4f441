"""``python -m farm.runner``: arguments, environment and signals of a runner."""

import argparse
import importlib
import itertools
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import get_args

from farm_protocol.runner import TOKEN_VARIABLE

from farm.renderers import Renderer, RendererError, iter_renderers
from farm.runner.loop import work
from farm.runner.report import Farm
from farm.runner.sandbox import Mode

_WRONG_USE = 2


def main() -> int:
    """Run until nothing is left to render; return the exit code (see `farm.runner.loop`)."""
    parser = argparse.ArgumentParser(prog="python -m farm.runner", description=__doc__)
    parser.add_argument(
        "--farm", metavar="URL", help="the farm's address; left out, wait for it on standard input"
    )
    parser.add_argument("--work-dir", required=True, type=Path, help="where to put the job's files")
    parser.add_argument("--blender", help="a Blender, or a Python with bpy, to use and no other")
    parser.add_argument(
        "--sandbox",
        choices=get_args(Mode),
        default="auto",
        help="whether renderers run in bubblewrap: where it works, always, or never",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    renderers: Iterable[Renderer] = iter_renderers(options.blender)
    # Out of the environment at once: the renderer's is made from ours.
    url, token = options.farm, os.environ.pop(TOKEN_VARIABLE, "")
    if url is None:
        renderers = _warm_up(options.blender)
        line = sys.stdin.readline()
        if not line:
            return 0  # The farm has no use for this runner, or is gone.
        order = json.loads(line)
        url, token = order["farm"], order["token"]
    if not token:
        parser.error(f"The environment variable {TOKEN_VARIABLE} must hold the runner's token.")
    farm = Farm(url, token)
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        farm.hurry()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        return work(farm, options.work_dir, renderers, options.sandbox, stopping)
    finally:
        farm.close()


def _warm_up(blender: str | None) -> Iterable[Renderer]:
    """Do what needs no job, so that a job need not wait for it: a second and more."""
    renderers = iter_renderers(blender)
    with ThreadPoolExecutor(1) as pool:
        # The first is nearly always the one; the rest are looked for when it is not.
        first = pool.submit(lambda: list(itertools.islice(renderers, 1)))
        for module in ("openjd.model", "openjd.sessions", "OpenImageIO"):
            importlib.import_module(module)
    try:
        return itertools.chain(first.result(), renderers)
    except RendererError:
        return iter_renderers(blender)  # Asked again when a job can be told.


if __name__ == "__main__":
    sys.exit(main())
