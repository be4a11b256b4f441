"""The schemas that editors use are those of the models, and each file names its own."""

import sys
from pathlib import Path

import pytest
from farm.products import BUILT_IN

ROOT = Path(__file__).parents[4]
sys.path.append(str(ROOT))

from tools.product_schemas import FOLDER, schemas  # noqa: E402


@pytest.mark.parametrize("path", schemas(), ids=lambda path: path.name)
def test_a_schema_is_what_the_generator_writes(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == schemas()[path]


def test_each_file_names_its_schema() -> None:
    for place in BUILT_IN.places.values():
        for file in place.glob("*.yaml"):
            kind = file.stem if file.stem in ("product", "program") else "template"
            kind = "operation" if file.name.endswith(".farm.yaml") else kind
            named = f"# yaml-language-server: $schema=../schemas/{kind}.schema.json\n"
            assert FOLDER / f"{kind}.schema.json" in schemas()
            assert file.read_text(encoding="utf-8").startswith(named)
