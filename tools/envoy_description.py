"""Write Envoy's description of its own API, from which the types of other programs are made.

    .venv/bin/python tools/envoy_description.py

It is what ``GET /envoy/openapi.json`` answers.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from envoy.web.app import build_app

DESCRIPTION = Path(__file__).parents[1] / "docs" / "reference" / "envoy-openapi.json"


def described() -> dict[str, Any]:
    """Return the description, asked for as anybody would ask."""

    async def ask() -> dict[str, Any]:
        services: Any = None
        transport = httpx.ASGITransport(app=build_app(services, 8090))
        async with httpx.AsyncClient(transport=transport) as http:
            answer = await http.get("http://localhost:8090/envoy/openapi.json")
            found: dict[str, Any] = answer.raise_for_status().json()
            found["info"]["version"] = "1"  # Of the API. What answers has one of its own.
            return found

    return asyncio.run(ask())


def as_text() -> str:
    """Return what belongs in the file."""
    return json.dumps(described(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DESCRIPTION.write_text(as_text(), encoding="utf-8")
