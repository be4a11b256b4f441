"""Products and machine types, as the farm offers them."""

from farm_protocol.catalogue import MachineType, ProductVersion
from fastapi import APIRouter, Request

from envoy.web.answers import WRONG
from envoy.web.services import Use

router = APIRouter(responses=WRONG)


@router.get("/products")
async def products(use: Use) -> list[ProductVersion]:
    """Return one row for each product version."""
    return await use.farm.products()


@router.get("/machines")
async def machines(request: Request, use: Use) -> list[MachineType]:
    """Return machine types for ``?app&operation&category&plugins``."""
    query = request.query_params.multi_items()
    return await use.farm.machines(query)
