"""``make bench`` measures on this machine; ``make bench ARGS="claims big_job"`` only these.

Prints medians over several runs. Nothing is asserted: the aims stand beside the figures.
"""

import argparse
import os
import platform
from collections.abc import Callable

from rich.console import Console

from bench import claim_load, client_calls, farm_load, main_job, many_jobs, tasks


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--idle-seconds", type=float, default=30)
    most = "the last size of the benchmark %r (default: %%(default)s)"
    parser.add_argument("--tasks", type=int, default=10_000, help=most % "tasks")
    parser.add_argument("--jobs", type=int, default=100_000, help=most % "many_jobs")
    known = ("main_job", "client", "claims", "big_job", "many_jobs", "planning", "tasks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    options = parser.parse_args()
    console = Console(width=110)
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start"
    )
    benchmarks: dict[str, Callable[[], None]] = {
        "main_job": lambda: main_job.run(console, options.runs, options.idle_seconds),
        "client": lambda: client_calls.run(console, options.runs),
        "claims": lambda: claim_load.claims(console, options.runs),
        "big_job": lambda: farm_load.big_job(console, options.runs),
        "many_jobs": lambda: many_jobs.run(console, options.runs, options.jobs),
        "planning": lambda: farm_load.planning(console, options.runs),
        "tasks": lambda: tasks.run(console, options.runs, options.tasks),
    }
    unknown = [name for name in options.names if name not in benchmarks]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; choose from {', '.join(benchmarks)}")
    for name in options.names or benchmarks:
        benchmarks[name]()


if __name__ == "__main__":
    main()
