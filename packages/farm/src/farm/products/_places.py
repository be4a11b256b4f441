"""Checks of a studio's products as a whole: their folders, and what they say of each other.

What comes with the farm passes the same checks in a test.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from farm.products._files import ProductError
from farm.products._program import Program
from farm.products._reading import COMPANION
from farm.products._template import Template

APP = re.compile(r"[a-z][a-z0-9]*\Z")
OPERATION = re.compile(r"[a-z][a-z0-9]*\Z")
_PRODUCT, _PROGRAM = "product.yaml", "program.yaml"


def check_folder(folder: Path, inside: Iterable[Path]) -> None:
    """Refuse a folder of products some of which would be passed over in silence.

    Raises:
        ProductError: it is a product itself, or has one that cannot be found.
    """
    if (folder / _PRODUCT).is_file():
        raise ProductError(
            f"{folder} is a product, and not a folder of products. Name {folder.parent} in"
            " FARM_PRODUCTS."
        )
    for place in inside:
        found = [place / _PRODUCT, place / _PROGRAM, *place.glob(f"*{COMPANION}")]
        if not any(file.is_file() for file in found):
            continue  # Something else.
        if not APP.match(place.name):
            raise ProductError(
                f"{place} cannot be the folder of a product: it is called after the product's"
                " code. Rename it to small letters and digits, with a letter first."
            )
        if not (place / _PRODUCT).is_file():
            raise ProductError(f"{place} has no {_PRODUCT}. Add it, or move the folder away.")


def check_place(place: Path) -> None:
    """Refuse files of a product that would be passed over in silence.

    Raises:
        ProductError: a file's name is wrong, or another file is missing.
    """
    if not (place / _PROGRAM).is_file():
        raise ProductError(
            f"{place} has no {_PROGRAM}, without which its program is not found. Add it."
        )
    known = {_PRODUCT, _PROGRAM}
    for file in sorted(place.glob(f"*{COMPANION}")):
        operation = file.name.removesuffix(COMPANION)
        if not OPERATION.match(operation):
            raise ProductError(
                f"{file} is called after its operation, which has small letters and digits, with a"
                " letter first. Rename it."
            )
        known |= {file.name, f"{operation}.yaml"}
    for file in sorted([*place.glob("*.yaml"), *place.glob("*.yml")]):
        if file.name not in known:
            raise ProductError(
                f"{file} is not read: an operation has the two files <operation>.yaml and"
                f" <operation>{COMPANION}. Rename it, or move it away."
            )


def check_product(
    place: Path, templates: Sequence[Template], programs: Mapping[str, Program]
) -> None:
    """Compare a product's operations with each other, and with other products.

    Parameters:
        place: folder of the product.
        templates: of all of its operations.
        programs: of all products.

    Raises:
        ProductError: with the first mistake.
    """
    for template in templates:
        file = place / f"{template.name.partition('_')[2]}{COMPANION}"
        others = {each.name for other in templates for each in other.parameters}
        for field, names in (("refuses", template.refuses), ("ignores", template.ignores)):
            for name in names:
                if name not in others:
                    raise ProductError(
                        f"{file}: {field}: No operation of the product has a parameter '{name}'."
                        " Correct the name, or remove it."
                    )
        colours = template.colours.of if template.colours else ""
        if colours and not (colours in programs and programs[colours].colours):
            raise ProductError(
                f"{file}: colours.of: The program of '{colours}' brings no colours along. Name a"
                f" product that has 'colours' in its {_PROGRAM}."
            )
        for code, plugin in template.plugins.items():
            if plugin.program and plugin.program not in programs:
                raise ProductError(
                    f"{file}: sandbox.plugins.{code}.program: There is no product"
                    f" '{plugin.program}'. Write one of {', '.join(programs)}."
                )
        _check_scenes(file, template)


def _check_scenes(file: Path, template: Template) -> None:
    """Refuse an `other_program` that no scene, or each one, would be rendered with."""
    if template.other is None:
        return
    both = set(template.scenes) & set(template.other.scenes)
    if both or not template.scenes or not template.other.scenes:
        raise ProductError(
            f"{file}: other_program: It is for scenes of other kinds. List different 'scenes' in"
            " both operations."
        )
