"""Products and machine types."""

from typing import Literal

from farm_protocol.catalogue import MachineType, ProductVersion
from fastapi import APIRouter

from farm.api.context import Account, InContext
from farm.catalog.machines import machine_rows

router = APIRouter()


@router.get("/products")
def get_products(context: InContext, _account: Account) -> list[ProductVersion]:
    """Return what the farm can run now."""
    return list(context.catalogue.products)


@router.get("/machines")
def get_machines(
    context: InContext,
    _account: Account,
    app: str = "",
    operation: str = "",
    category: Literal["cpu", "gpu", "all"] = "all",
) -> list[MachineType]:
    """Return the machine types for a product and operation (all, when these are left out)."""
    runnable = any(
        app in ("", row.app_type) and operation in ("", *row.operations)
        for row in context.catalogue.products
    )
    return [
        row
        for row in machine_rows(context.catalogue.machines)
        if runnable and category in ("all", "gpu" if row.gpu else "cpu")
    ]
