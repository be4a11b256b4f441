"""This machine's hardware: the machine types of a farm on one computer."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from decimal import Decimal

import psutil

from farm.catalogue.machines import Machines

_ASK_SECONDS = 20.0
_QUESTION = ("--query-gpu=name,memory.total", "--format=csv,noheader")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics card. ``memory_mib``: None when the driver does not report it."""

    name: str
    memory_mib: int | None


def local_machines(slots: int, credits_per_hour: Decimal) -> list[Machines]:
    """Return the machine types of this computer: ``local-cpu``, and ``local-gpu`` if it has a GPU.

    Parameters:
        slots: most runners at a time, of each type.
        credits_per_hour: price of one instance, of each type.
    """
    # Only the CPUs that this process may use: it cannot render with the others.
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about = f"{cpus} CPUs, {_gigabytes(psutil.virtual_memory().total / 2**20)}"
    machines = [Machines("local-cpu", f"This computer ({about})", False, slots, credits_per_hour)]
    if gpus := find_gpus():
        name = f"This computer's GPU ({about}, {_names(gpus)})"
        machines.append(Machines("local-gpu", name, True, slots, credits_per_hour))
    return machines


def find_gpus() -> list[Gpu]:
    """Return the graphics cards that ``nvidia-smi`` reports; none without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, *_QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_SECONDS,
            check=True,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [_gpu(line) for line in done.stdout.splitlines() if line.strip()]


def _gpu(line: str) -> Gpu:
    name, _, memory = line.rpartition(",")
    number = memory.strip().removesuffix("MiB").strip()
    return Gpu((name or line).strip(), int(number) if number.isdigit() else None)


def _names(gpus: list[Gpu]) -> str:
    kinds: dict[str, int] = {}
    for gpu in gpus:
        memory = f" {_gigabytes(gpu.memory_mib)}" if gpu.memory_mib else ""
        kinds[gpu.name + memory] = kinds.get(gpu.name + memory, 0) + 1
    return ", ".join(f"{count} x {kind}" if count > 1 else kind for kind, count in kinds.items())


def _gigabytes(mebibytes: float) -> str:
    return f"{round(mebibytes / 1024)} GB"
