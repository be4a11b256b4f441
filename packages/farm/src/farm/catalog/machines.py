"""Machine types: what a runner runs on, how many there are, what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from farm_protocol.catalogue import MachineType

DEFAULT_CPU = "default_machine_cpu"
DEFAULT_GPU = "default_machine_gpu"


@dataclass(frozen=True, slots=True)
class Machines:
    """One machine type and its capacity. ``slots``: most runners on it at a time."""

    id: str
    name: str
    gpu: bool
    slots: int
    credits_per_hour: Decimal


def machine_rows(machines: Sequence[Machines]) -> list[MachineType]:
    """Return the rows of ``GET /v1/machines``; the first of each kind is its default."""
    return [
        MachineType(
            id=each.id,
            name=each.name,
            gpu=each.gpu,
            is_default=each is _first(machines, each.gpu),
            credits_per_hour=float(each.credits_per_hour),
        )
        for each in machines
    ]


def choose(machines: Sequence[Machines], wanted: str, gpu: bool) -> Machines:
    """Return the machine type that a job gets.

    Parameters:
        wanted: an id, or ``""`` and the two ``default_machine_...`` names for the default.
        gpu: the job requires a GPU.

    Raises:
        ValueError: with a sentence: unknown, or no machine here has a GPU.
    """
    if wanted in ("", DEFAULT_CPU, DEFAULT_GPU):
        needs_gpu = gpu or wanted == DEFAULT_GPU
        chosen = _first(machines, needs_gpu)
        if chosen is None:
            kind = "GPU" if needs_gpu else "CPU"
            raise ValueError(f"This farm has no {kind} machine.")
        return chosen
    for each in machines:
        if each.id == wanted:
            if gpu and not each.gpu:
                raise ValueError(f"The machine type '{wanted}' has no GPU.")
            return each
    known = ", ".join(f"'{each.id}'" for each in machines)
    raise ValueError(f"There is no machine type '{wanted}'; this farm has {known}.")


def _first(machines: Sequence[Machines], gpu: bool) -> Machines | None:
    return next((each for each in machines if each.gpu == gpu), None)
