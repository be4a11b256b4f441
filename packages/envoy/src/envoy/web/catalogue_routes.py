"""Products and machine types, as the farm offers them."""

from typing import Any

from fastapi import APIRouter, Request

from envoy.web.services import Use

router = APIRouter()


@router.get("/products")
async def products(use: Use) -> list[dict[str, Any]]:
    """Return one row for each product version: ``[{"id", "name", "app_type", ...}]``."""
    return [row.model_dump(mode="json") for row in await use.farm.products()]


@router.get("/machines")
async def machines(request: Request, use: Use) -> list[dict[str, Any]]:
    """Return machine types for ``?app&operation&category&plugins``."""
    query = request.query_params.multi_items()
    return [row.model_dump(mode="json") for row in await use.farm.machines(query)]
