"""Write the JSON Schemas of a product's files, for editors that know YAML.

    .venv/bin/python tools/product_schemas.py

The first line of each such file names its schema: an editor then completes and checks the fields.
"""

import json
from pathlib import Path

from farm.catalogue.definitions import ProductEntry
from farm.products import Companion, OpenJobTemplate, Program
from pydantic import BaseModel

FOLDER = Path(__file__).parents[1] / "packages" / "farm" / "src" / "farm" / "products" / "schemas"
MODELS: dict[str, type[BaseModel]] = {
    "product": ProductEntry,
    "program": Program,
    "operation": Companion,
    "template": OpenJobTemplate,
}


def schemas() -> dict[Path, str]:
    """Return the file of each schema, and what belongs in it."""
    return {
        FOLDER / f"{name}.schema.json": _for_editors(json.dumps(_schema(model), indent=2)) + "\n"
        for name, model in MODELS.items()
    }


def _schema(model: type[BaseModel]) -> dict[str, object]:
    schema = model.model_json_schema(by_alias=True)
    if model is Companion:
        # What `like` brings along need not be said again.
        schema["required"] = []
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _for_editors(text: str) -> str:
    """Return a schema with its expressions as JavaScript spells the ends of a text."""
    return text.replace(r"\\A", "^").replace(r"\\z", "$")


def main() -> None:
    """Write them all."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in schemas().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
