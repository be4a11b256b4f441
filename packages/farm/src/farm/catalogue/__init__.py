"""What this farm can run: products and machine types."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from farm_protocol.catalogue import ProductVersion
from farm_protocol.runner import Program

from farm.catalogue.definitions import Definitions, built_in
from farm.catalogue.machines import Machines
from farm.catalogue.products import Installed, merged, product_rows


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What jobs may request.

    Attributes:
        products: product and plug-in versions that can be used now.
        missing: why there are none, for people ("No renderer was found: ...").
        problems: product -> why its configured programs cannot be used.
        installed: programs of the farm's own machine.
    """

    products: Sequence[ProductVersion]
    machines: Sequence[Machines]
    missing: str = ""
    definitions: Definitions = field(default_factory=built_in)
    problems: Mapping[str, str] = field(default_factory=dict)
    installed: Sequence[Installed] = ()

    def with_hosts(self, hosts: Iterable[Sequence[Program]]) -> "Catalogue":
        """Return this catalogue plus the programs of render nodes.

        Parameters:
            hosts: the programs of each node.
        """
        rows = [
            row
            for programs in hosts
            for row in product_rows([Installed.of(each) for each in programs], self.definitions)
        ]
        return replace(self, products=merged([*self.products, *rows])) if rows else self
