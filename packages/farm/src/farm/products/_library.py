"""The products in some folders: found by name, and read on demand.

<folder>/<app>/product.yaml               its entry in the catalogue
               program.yaml               how its program is found on a machine
               <operation>.yaml           an Open Job Description template
               <operation>.farm.yaml      what OpenJD has no field for
               <module>.py                what scenes say, where an operation needs that
               scripts/                   that run inside the renderer, or start it
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from farm.products._files import ProductError, read_model, read_yaml
from farm.products._places import APP, OPERATION, check_folder, check_place, check_product
from farm.products._program import Program
from farm.products._reading import COMPANION, read_template
from farm.products._template import Template

FOLDER = Path(__file__).parent
_ANY_SERIES = re.compile(r"\d+\.\d+|\d+")


class Library:
    """All products that a farm or a runner knows. Nothing is read before it is needed."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        """Use the built-in products, and those of other folders.

        Parameters:
            folders: a product there replaces an earlier one of the same code.
        """
        self.folders = tuple(folders)
        self._templates: dict[str, Template] = {}

    @cached_property
    def places(self) -> Mapping[str, Path]:
        """The folder of each product, by its short code.

        Raises:
            ProductError: one of the farm's settings does not name a folder.
        """
        found: dict[str, Path] = {}
        for folder in (FOLDER, *self.folders):
            try:
                inside = sorted(folder.iterdir())
            except OSError as error:
                raise ProductError(
                    f"The products in {folder} cannot be read: {error.strerror or error}. Correct"
                    " FARM_PRODUCTS, or the permissions of the folder."
                ) from error
            if folder != FOLDER:
                check_folder(folder, inside)
            found |= {
                each.name: each
                for each in inside
                if APP.match(each.name) and (each / "product.yaml").is_file()
            }
        return dict(sorted(found.items()))

    @cached_property
    def programs(self) -> Mapping[str, Program]:
        """How to find the program of each product, by short code."""
        return {
            app: read_model(Program, folder / "program.yaml")
            for app, folder in self.places.items()
            if (folder / "program.yaml").is_file()
        }

    @property
    def own(self) -> list[str]:
        """The codes of products that do not come with the farm."""
        return [app for app, place in self.places.items() if place.parent != FOLDER]

    def verify(self) -> None:
        """Read everything that does not come with the farm, to report mistakes at the start.

        What is said of other files and other products is compared with these.

        Raises:
            ProductError: with the first mistake.
        """
        for app in self.own:
            place = self.places[app]
            check_place(place)
            found = [
                self.template(f"{app}_{operation}")
                for product, operation in self.available()
                if product == app
            ]
            check_product(place, found, self.programs)

    def series(self, app: str, version: str) -> str:
        """Return the series of a version: versions in one series can replace each other."""
        if app in self.programs:
            return self.programs[app].series_of(version)
        match = _ANY_SERIES.match(version)
        return match[0] if match else version

    def entries(self) -> dict[str, Any]:
        """Return the unchanged content of each product's ``product.yaml``."""
        return {app: read_yaml(place / "product.yaml") for app, place in self.places.items()}

    def available(self) -> list[tuple[str, str]]:
        """Return (app, operation) of every template, sorted."""
        return [
            (app, operation)
            for app, place in self.places.items()
            for file in sorted(place.glob(f"*{COMPANION}"))
            if OPERATION.match(operation := file.name.removesuffix(COMPANION))
        ]

    def has(self, name: str) -> bool:
        """Return whether there is a template called ``<app>_<operation>``."""
        return self._companion(name) is not None

    def load(self, app: str, operation: str) -> Template | None:
        """Return the template of a product's operation; None when there is none."""
        name = f"{app}_{operation}"
        return self.template(name) if self.has(name) else None

    def template(self, name: str) -> Template:
        """Return the template called ``<app>_<operation>``.

        Raises:
            ProductError: there is none, or its files are invalid.
        """
        return self._template(name, ())

    def _template(self, name: str, above: tuple[str, ...]) -> Template:
        """Load a template; ``above``: templates that name it as their `other_program`."""
        if name not in self._templates:
            file = self._companion(name)
            if file is None:
                raise ProductError(
                    f"There is no template called '{name}'. Correct the name, or add its files."
                )
            if name in above:
                raise ProductError(
                    f"{file}: other_program: It leads back to itself. Name an operation that has"
                    " no 'other_program'."
                )
            self._templates[name] = read_template(
                file.parent,
                file.name.removesuffix(COMPANION),
                lambda other: self._template(other, (*above, name)),
            )
        return self._templates[name]

    def _companion(self, name: str) -> Path | None:
        app, _, operation = name.partition("_")
        place = self.places.get(app)
        if place is None or not OPERATION.match(operation):
            return None
        file = place / f"{operation}{COMPANION}"
        return file if file.is_file() else None


BUILT_IN = Library()
"""The products that come with the farm."""
