"""Machine types: what runners run on, their number and their price."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from farm_protocol.catalogue import MachineType, ProductVersion

from farm.catalogue.definitions import Definitions, LimitsEntry
from farm.catalogue.products import takes
from farm.errors import InvalidRequestError

DEFAULT_CPU = "default_machine_cpu"
DEFAULT_GPU = "default_machine_gpu"


@dataclass(frozen=True, slots=True)
class Own:
    """A user's default machine types, by id; "" leaves the choice to the farm."""

    cpu: str = ""
    gpu: str = ""


_FARMS = Own()


@dataclass(frozen=True, slots=True)
class Machines:
    """One machine type and its capacity.

    Attributes:
        slots: most runners on it at a time.
        credits_per_hour: price of one instance.
        prices: the price for jobs of some products, by short code.
        limits: of one renderer on it.
    """

    id: str
    name: str
    gpu: bool
    slots: int
    credits_per_hour: Decimal
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    limits: LimitsEntry = field(default_factory=LimitsEntry)

    def price(self, app: str) -> Decimal:
        """Return credits per hour of one instance for a job with a product."""
        return self.prices.get(app, self.credits_per_hour)


def with_definitions(
    found: Sequence[Machines], definitions: Definitions, credits_per_hour: Decimal
) -> list[Machines]:
    """Return the machine types that were found, as changed and extended by the catalogue.

    Parameters:
        credits_per_hour: price of those that are added without one.
    """
    machines = {each.id: each for each in found}
    for machine_id, entry in definitions.machines.items():
        old = machines.get(machine_id) or Machines(
            machine_id, machine_id, False, 1, credits_per_hour
        )
        machines[machine_id] = replace(
            old, **{name: value for name, value in entry if value is not None}
        )
    return [
        replace(
            each,
            prices={
                app: product.credits_per_hour[each.id]
                for app, product in definitions.products.items()
                if each.id in product.credits_per_hour
            },
        )
        for each in machines.values()
    ]


def machine_rows(
    machines: Sequence[Machines],
    products: Sequence[ProductVersion],
    definitions: Definitions,
    *,
    app: str = "",
    operation: str = "",
    category: Literal["cpu", "gpu", "all"] = "all",
    plugins: Sequence[str] = (),
    own: Own = _FARMS,
) -> list[MachineType]:
    """Return the rows of ``GET /v1/machines``; one of each kind is the default.

    Parameters:
        products: products that can run now.
        app, operation: "": of any.
        plugins: ``<code>`` or ``<code>:<version>``, which must all work with one version of the
            product.
        own: what the user wants by default.
    """
    runnable = any(
        not row.is_plugin
        and app in ("", row.app_type)
        and operation in ("", *row.operations)
        and takes(row, plugins)
        for row in products
    )
    if not runnable:
        return []
    needs_gpu = definitions.need_gpu(app, plugins)
    return [
        MachineType(
            id=each.id,
            name=each.name,
            gpu=each.gpu,
            is_default=each is _default(machines, each.gpu, own),
            credits_per_hour=float(each.price(app)),
        )
        for each in machines
        if category in ("all", "gpu" if each.gpu else "cpu") and (each.gpu or not needs_gpu)
    ]


def choose(machines: Sequence[Machines], wanted: str, gpu: bool, own: Own = _FARMS) -> Machines:
    """Return the machine type that a job gets.

    Parameters:
        wanted: an id, or ``""`` and the two ``default_machine_...`` names for the default.
        gpu: the job requires a GPU.
        own: what the user wants by default.

    Raises:
        ValueError: with a message: it is unknown, or no machine here has a GPU.
    """
    if wanted in ("", DEFAULT_CPU, DEFAULT_GPU):
        needs_gpu = gpu or wanted == DEFAULT_GPU
        chosen = _default(machines, needs_gpu, own)
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
    raise ValueError(f"This farm has no machine type '{wanted}'. It has {known}.")


def kinds(machines: Iterable[Machines]) -> dict[str, bool]:
    """Return whether each machine type has a GPU."""
    return {each.id: each.gpu for each in machines}


def require_own_kind(kinds: Mapping[str, bool], cpu: str | None, gpu: str | None) -> None:
    """Refuse machine types that cannot be a user's defaults.

    Parameters:
        kinds: see `kinds`.
        cpu, gpu: ids that a user wants; "" and None: none.

    Raises:
        InvalidRequestError: there is no such machine type, or it is of the other kind.
    """
    errors = {}
    for name, wanted, with_gpu in (("machine_cpu", cpu, False), ("machine_gpu", gpu, True)):
        known = [each for each, has_gpu in kinds.items() if has_gpu == with_gpu]
        if wanted and wanted not in known:
            there = ", ".join(f"'{each}'" for each in known) or "none"
            kind = "GPU" if with_gpu else "CPU"
            errors[name] = [f"This farm has no {kind} machine type '{wanted}'. It has {there}."]
    if errors:
        raise InvalidRequestError(errors)


def _default(machines: Sequence[Machines], gpu: bool, own: Own) -> Machines | None:
    """Return the user's own default of a kind, else the first; None without any."""
    kind = [each for each in machines if each.gpu == gpu]
    wanted = own.gpu if gpu else own.cpu
    # A machine type that the farm no longer has does not count.
    return next((each for each in kind if each.id == wanted), kind[0] if kind else None)
