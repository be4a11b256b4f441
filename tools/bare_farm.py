"""A farm without renderers, for crash tests and benchmarks, which simulate the runners.

It differs from ``farm serve`` only in its adapters: it claims to have a Blender, and instead of
starting a runner, it writes the launch request into the folder ``orders`` of its data folder.
"""

import argparse
from collections.abc import Collection, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import farm.main
from farm.catalogue import Catalogue
from farm.catalogue.machines import Machines
from farm.catalogue.products import Installed, product_rows
from farm.config import Settings
from farm.engines.port import EngineError, LaunchRequest, Phase, Sight
from farm_protocol.runner import RunnerOrder


class FolderEngine:
    """An engine whose runners are files: a runner lives as long as its order is there."""

    host = ""
    outlives_farm = False
    certain = True

    def __init__(self, orders: Path) -> None:
        self._orders = orders
        self._orders.mkdir(exist_ok=True)

    def prepare(self) -> None:
        """Nothing to prepare."""

    def launch(self, requests: Sequence[LaunchRequest]) -> list[str | EngineError]:
        """Leave ``<runner id>.json`` with the farm's address and the token, for each."""
        return [self._launch(request) for request in requests]

    def _launch(self, request: LaunchRequest) -> str:
        order = RunnerOrder(farm=request.farm_url, token=request.token)
        part = self._orders / f"{request.runner_id}.part"
        part.write_text(order.model_dump_json())
        part.rename(self._orders / f"{request.runner_id}.json")
        return request.runner_id

    def stop(self, reference: str) -> None:
        """Remove the order, for which its runner ends."""
        (self._orders / f"{reference}.json").unlink(missing_ok=True)

    def look(self, references: Collection[str]) -> dict[str, Sight]:
        """Return that those run whose order is there."""
        return {each: Sight(self._phase(each)) for each in references}

    def _phase(self, reference: str) -> Phase:
        there = (self._orders / f"{reference}.json").exists()
        return Phase.RUNNING if there else Phase.GONE

    def close(self) -> None:
        """Nothing prepared."""


def serve(data_dir: Path, database_url: str | None, slots: int, **settings: Any) -> None:
    """Be such a farm until SIGTERM, with a machine for ``slots`` runners at one credit a second.

    Parameters:
        settings: further settings of the farm.
    """
    machine = Machines("local-cpu", "Bare", False, slots, credits_per_hour=Decimal(3600))
    products = product_rows([Installed("blender", "4.5.15")])
    farm.main.serve(
        Settings(data_dir=data_dir, database_url=database_url, **settings),
        engine=lambda _: FolderEngine(data_dir / "orders"),
        catalogue=Catalogue(products, [machine]),
    )


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--database-url")
    parser.add_argument("--slots", type=int, default=8)
    options = parser.parse_args()
    serve(options.data_dir, options.database_url, options.slots)


if __name__ == "__main__":
    main()
