"""Products and machine types."""

from typing import Annotated, Literal

from farm_protocol.catalogue import MachineType, ProductVersion
from fastapi import APIRouter, Query

from farm.api.context import Account, InContext
from farm.catalogue.machines import Own, machine_rows

router = APIRouter(prefix="/v1")


@router.get("/products")
def get_products(context: InContext, _account: Account) -> list[ProductVersion]:
    """Return what the farm can run now."""
    with context.database.read() as connection:
        return list(context.offers(connection).products)


@router.get("/machines")
def get_machines(
    context: InContext,
    account: Account,
    app: str = "",
    operation: str = "",
    category: Literal["cpu", "gpu", "all"] = "all",
    plugins: Annotated[list[str] | None, Query()] = None,
) -> list[MachineType]:
    """Return the machine types for a product and operation (all of them without either)."""
    with context.database.read() as connection:
        offered = context.offers(connection)
    return machine_rows(
        offered.machines,
        offered.products,
        offered.definitions,
        app=app,
        operation=operation,
        category=category,
        plugins=plugins or [],
        own=Own(account.machine_cpu, account.machine_gpu),
    )
