"""The page about products says what the data says, and its example can be loaded."""

import re
from pathlib import Path

from farm.catalogue.definitions import built_in, load_definitions
from farm.catalogue.products import Installed, product_rows

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "products.md").read_text("utf-8")


def test_every_product_stands_with_its_operations_and_plugins() -> None:
    table = PAGE.partition("## ")[0]
    rows = [
        [re.findall(r"`(\w+)`", cell) for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("| `")
    ]
    documented = {row[0][0]: (row[2], row[3]) for row in rows}
    assert documented == {
        code: (list(product.operations), list(product.plugins))
        for code, product in built_in().products.items()
    }


def test_the_example_is_a_catalogue(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    file = tmp_path / "studio.yaml"
    file.write_text(example)
    definitions = load_definitions(file)
    mtoa = definitions.products["maya"].plugins["mtoa"]
    assert mtoa.fits("5.3.1", "2024.2")
    assert not mtoa.fits("5.3.1", "2025.1")
    assert definitions.need_gpu("maya", ["maya_redshift"])
    assert definitions.products["nuke"].versions == ["14.0v5"]
    assert set(definitions.machines) == {"local-cpu", "big"}
    # What it says of Maya leaves other products as they are.
    assert product_rows([Installed("blender", "3.4.1")], definitions)


def test_every_field_of_the_file_is_described() -> None:
    for model in (built_in().products["maya"], built_in().products["maya"].plugins["mtoa"]):
        for field in type(model).model_fields:
            assert f".{field}`" in PAGE or f".{field}." in PAGE
