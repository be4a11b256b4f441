"""The products that this farm can run now, and which version a job gets."""

from collections.abc import Sequence
from dataclasses import dataclass

from farm_protocol.catalogue import ProductVersion


@dataclass(frozen=True, slots=True)
class Installed:
    """A renderer that some machine of the farm has."""

    app: str
    version: str


NAMES = {"blender": "Blender"}
"""Names for people, by product short code."""

OPERATIONS = {"blender": ("render",)}
"""The operations of each product, by short code."""


def product_rows(installed: Sequence[Installed]) -> list[ProductVersion]:
    """Return the rows of ``GET /v1/products``: one a product version."""
    return [
        ProductVersion(
            id=f"{each.app}:{each.version}",
            name=NAMES[each.app],
            app_type=each.app,
            version=each.version,
            operations=list(OPERATIONS[each.app]),
        )
        for each in sorted(set(installed), key=lambda each: (each.app, _numbers(each.version)))
    ]


def match_version(products: Sequence[ProductVersion], app: str, wanted: str) -> str | None:
    """Return the version that a job asking for ``wanted`` gets, None when there is none.

    ``""`` is the newest; a full version is that one; a partial one (``"3.4"``) is the newest
    whose leading numbers are the same (3.4.1, but not 3.40). Another version is never taken
    instead.
    """
    versions = [row.version for row in products if row.app_type == app]
    fitting = [
        version for version in versions if not wanted or f"{version}.".startswith(f"{wanted}.")
    ]
    return max(fitting, key=_numbers, default=None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))
