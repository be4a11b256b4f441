"""``python -m farm.runner``: arguments, environment and signals of a runner."""

import argparse
import ctypes
import importlib
import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import get_args

from farm_protocol.runner import TOKEN_VARIABLE, RunnerOrder, SandboxMode
from farm_protocol.text import EscapingFormatter

from farm.confine import is_root
from farm.confine.own_limits import forget_keys
from farm.products import Library
from farm.renderers import Discovery
from farm.runner.farm_client import Farm
from farm.runner.loop import work
from farm.runner.results.delivery import Results
from farm.runner.results.image_checks import ImageChecks

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def main(results: type[Results] = Results) -> int:
    """Run until nothing is left to render; return the exit code (see `farm.runner.loop`).

    Parameters:
        results: what becomes of frames that are rendered: others measure what that costs.
    """
    _keep_memory_private()
    if is_root():
        # Before there is another thread or process; its renderers get an account, but inherit this.
        forget_keys()
    parser = _parser()
    options = parser.parse_args()
    library = Library(options.products)
    discovery = Discovery(_programs_of(parser, options, library), library=library)
    _log_to_stderr()
    checks = ImageChecks(options.sandbox or "auto")
    # Removed from the environment at once: the renderer's is made from ours.
    url, token = options.farm, os.environ.pop(TOKEN_VARIABLE, "")
    if url is None:
        _warm_up(discovery, checks)
        line = sys.stdin.readline()
        if not line:
            checks.close()
            return 0  # The farm does not need this runner, or is gone.
        order = RunnerOrder.model_validate_json(line)
        url, token = order.farm, order.token
    if not token:
        parser.error(f"The environment variable {TOKEN_VARIABLE} must hold the runner's token.")
    farm = Farm(url, token)
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        farm.give_up_soon()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        return work(
            farm,
            options.work_dir,
            discovery,
            options.sandbox,
            stopping,
            options.render_user,
            checks,
            results,
        )
    finally:
        farm.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m farm.runner", description=__doc__)
    parser.add_argument(
        "--farm", metavar="URL", help="the farm's address; left out, wait for it on standard input"
    )
    parser.add_argument("--work-dir", required=True, type=Path, help="where to put the job's files")
    parser.add_argument("--blender", help="the same as --program blender=PATH")
    parser.add_argument(
        "--program",
        action="append",
        default=[],
        metavar="PRODUCT=PATH",
        help="a program to use for a product and no other, PRODUCT= for none; may be repeated",
    )
    parser.add_argument(
        "--products",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="a folder of products beside the built-in ones; may be repeated",
    )
    parser.add_argument(
        "--sandbox",
        choices=get_args(SandboxMode),
        help="whether renderers run in bubblewrap: where it works, always, or never; left out, the"
        " farm decides",
    )
    parser.add_argument(
        "--render-user",
        metavar="NAME",
        default="",
        help="the account that renderers run as when this is root; left out, one of their own",
    )
    return parser


def _programs_of(
    parser: argparse.ArgumentParser, options: argparse.Namespace, library: Library
) -> dict[str, list[str]]:
    """Return product -> paths from the arguments; exit when a product is unknown."""
    configured: dict[str, list[str]] = {}
    for given in [*options.program, *([f"blender={options.blender}"] if options.blender else [])]:
        product, equals, path = given.partition("=")
        if product not in library.programs or not equals:
            known = ", ".join(library.programs)
            parser.error(f"--program {given}: give PRODUCT=PATH; known are {known}")
        configured.setdefault(product, []).extend([path] if path else [])
    return configured


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EscapingFormatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _keep_memory_private() -> None:
    """Let no other program of this account read the memory and environment of this process.

    They contain the token, and without a sandbox the renderers of an ordinary user's farm could
    read it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _warm_up(discovery: Discovery, checks: ImageChecks) -> None:
    """Do what needs no job, so that a job need not wait for it: a second and more."""
    checks.warm_up()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(discovery.warm_up)
        for module in ("openjd.model", "openjd.sessions"):
            importlib.import_module(module)


if __name__ == "__main__":
    sys.exit(main())
