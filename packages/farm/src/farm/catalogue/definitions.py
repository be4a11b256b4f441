"""The catalogue's data: each product's ``product.yaml``, overridden by a studio's file."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from farm_protocol.runner import JobLimits, LicenceServer
from pydantic import Field, field_validator

from farm.products import (
    BUILT_IN,
    Library,
    Name,
    ProductError,
    Server,
    Strict,
    Template,
    Text,
    VersionText,
    checked,
    load_yaml,
    read_model,
)
from farm.renderers import ALL, in_range
from farm.runner.claim.open_job import check_open_job

_REPLACED = frozenset({"works_with"})
"""Mappings that a studio's file replaces: if merged, our "all" would always remain."""

Price = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]


class CatalogueError(Exception):
    """A catalogue file is wrong. ``str()`` names the file, the field and what is wrong."""


class PlugInEntry(Strict):
    """A plug-in of a product.

    Attributes:
        name: for people.
        versions: installed where this farm cannot search.
        works_with: range of plug-in versions -> ranges of product versions; see `in_range`. A
            version in no range works with nothing.
        provided_by: the plug-in is this product, on the same machine; None: it is found by its
            files.
        needs_gpu: jobs with it need a machine type that has a GPU.
        licence_servers: that the renderers of jobs with it reach, beside the product's.
    """

    name: Text
    versions: list[VersionText] = []
    works_with: dict[str, list[str]] = {ALL: [ALL]}
    provided_by: str | None = None
    needs_gpu: bool = False
    licence_servers: list[Server] = []

    @field_validator("works_with")
    @classmethod
    def _ranges(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for text in (*value, *(each for ranges in value.values() for each in ranges)):
            first, dots, last = text.partition("..")
            if text != ALL and (not first or (dots and not last)):
                raise ValueError(f"'{text}' is not a range. Write 'all', '2025' or '2023..2025'")
        return value

    def fits(self, version: str, product_version: str) -> bool:
        """Return whether this plug-in, in this version, works with a product's version."""
        return any(in_range(version, each) for each in self.ranges_for(product_version))

    def ranges_for(self, product_version: str) -> list[str]:
        """Return the ranges of this plug-in's versions that work with a product's version."""
        return [
            plugin_range
            for plugin_range, product_ranges in self.works_with.items()
            if any(in_range(product_version, each) for each in product_ranges)
        ]


class ProductEntry(Strict):
    """A product.

    Attributes:
        name: for people.
        operations: operation -> name of its template.
        versions: installed on machines where this farm cannot look.
        plugins: by short code.
        credits_per_hour: price of an instance by machine type, where it differs from the machine's.
        licence_servers: that its renderers reach from their sandbox, beside nothing else.
    """

    name: Text
    operations: Annotated[dict[Name, str], Field(min_length=1)]
    versions: list[VersionText] = []
    plugins: dict[Name, PlugInEntry] = {}
    credits_per_hour: dict[str, Price] = {}
    licence_servers: list[Server] = []


class LimitsEntry(Strict):
    """What a renderer may use of a machine; None: as its runner derives it from the machine.

    Attributes:
        memory_gb: of RAM; a GB is 2^30 bytes.
        processes: processes and threads at a time.
        file_gb: size of one file.
        disk_gb: of all that it writes, while it is there.
        files: that it writes, while they are there.
        cpu_hours: processor time of one frame, summed over processors.
    """

    memory_gb: float | None = Field(default=None, gt=0)
    processes: int | None = Field(default=None, ge=10)
    file_gb: float | None = Field(default=None, gt=0)
    disk_gb: float | None = Field(default=None, gt=0)
    files: int | None = Field(default=None, ge=10)
    cpu_hours: float | None = Field(default=None, gt=0)

    def for_runners(self, slots: int) -> JobLimits:
        """Return a runner's limits on a machine shared by ``slots`` of them."""
        return JobLimits(
            memory_bytes=_bytes(self.memory_gb),
            processes=self.processes,
            file_bytes=_bytes(self.file_gb),
            disk_bytes=_bytes(self.disk_gb),
            files=self.files,
            frame_cpu_seconds=self.cpu_hours * 3600 if self.cpu_hours else None,
            slots=max(1, slots),
        )


class MachineEntry(Strict):
    """A machine type, or changes to one that this farm finds itself. None: as found.

    Attributes:
        slots: most runners on it at a time.
        credits_per_hour: price of one instance.
        limits: of one renderer on it.
    """

    name: str | None = None
    gpu: bool | None = None
    slots: int | None = Field(default=None, ge=1)
    credits_per_hour: Price | None = None
    limits: LimitsEntry | None = None


class _File(Strict):
    """A whole catalogue file."""

    products: dict[Name, ProductEntry]
    machines: dict[str, MachineEntry] = {}


@dataclass(frozen=True, slots=True)
class Definitions:
    """The farm's products and machine types.

    Attributes:
        products: by short code.
        machines: by machine type: a studio's changes.
        library: the files of the products.
    """

    products: Mapping[str, ProductEntry]
    machines: Mapping[str, MachineEntry]
    library: Library = BUILT_IN

    def template(self, app: str, operation: str) -> Template | None:
        """Return an operation's template; None when it cannot be run."""
        product = self.products.get(app)
        name = product.operations.get(operation) if product else None
        return self.library.template(name) if name and self.library.has(name) else None

    def operations(self, app: str) -> list[str]:
        """Return a product's operations for which there is a template."""
        product = self.products.get(app)
        offered = product.operations.items() if product else ()
        return [operation for operation, name in offered if self.library.has(name)]

    def need_gpu(self, app: str, plugins: Iterable[str]) -> bool:
        """Return whether one of a product's plug-ins needs a GPU.

        Parameters:
            plugins: ``<code>`` or ``<code>:<version>``.
        """
        product = self.products.get(app)
        codes = {text.partition(":")[0] for text in plugins}
        return product is not None and any(
            plugin.needs_gpu for code, plugin in product.plugins.items() if code in codes
        )

    def licence_servers(self, app: str, plugins: Iterable[str]) -> list[LicenceServer]:
        """Return what the renderers of a job may reach.

        Parameters:
            plugins: ``<code>`` or ``<code>:<version>``.
        """
        product = self.products.get(app)
        if product is None:
            return []
        codes = {text.partition(":")[0] for text in plugins}
        texts = list(product.licence_servers)
        for plugin in (each for code, each in product.plugins.items() if code in codes):
            other = self.products.get(plugin.provided_by or "")
            texts += [*plugin.licence_servers, *(other.licence_servers if other else [])]
        return [_server(text) for text in dict.fromkeys(texts)]


def _server(text: str) -> LicenceServer:
    host, _, port = text.rpartition(":")
    return LicenceServer(host=host.strip("[]"), port=int(port))


def _bytes(gigabytes: float | None) -> int | None:
    return None if gigabytes is None else int(gigabytes * 2**30)


@cache
def built_in() -> Definitions:
    """Return our own catalogue, without a studio's file."""
    return load_definitions(None)


def load_definitions(studio: Path | None, library: Library = BUILT_IN) -> Definitions:
    """Return the catalogue.

    Parameters:
        studio: the studio's file, laid over the products' own; None: there is none.
        library: the products.

    Raises:
        CatalogueError: it cannot be read, or is invalid.
    """
    try:
        library.verify()
        for app in library.own:
            _check_product(app, library)
        ours = {"products": library.entries()}
        if studio is None:
            return _definitions("The products' own files", ours, library)
        over = load_yaml(studio.read_text(encoding="utf-8"))
        if not isinstance(over, Mapping):
            raise CatalogueError(
                f"The catalogue {studio} must be a mapping. Write its entries below 'products:'."
            )
        return _definitions(f"The catalogue {studio}", _merged(ours, over), library)
    except ProductError as error:
        raise CatalogueError(str(error)) from error
    except OSError as error:
        raise CatalogueError(
            f"The catalogue {studio} cannot be read: {error.strerror or error}. Correct"
            " FARM_CATALOGUE, or the permissions of the file."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogueError(
            f"The catalogue {studio} is not YAML: {error}. Correct the file."
        ) from error


def _definitions(what: str, content: Mapping[str, Any], library: Library) -> Definitions:
    file = checked(_File, content, what)
    templates = [f"{app}_{operation}" for app, operation in library.available()]
    for app, product in file.products.items():
        where = f"{what}: products.{app}"
        for operation, name in product.operations.items():
            _check_known(f"{where}.operations.{operation}", "template", name, templates)
        for code, plugin in product.plugins.items():
            if (other := plugin.provided_by) is not None:
                _check_known(f"{where}.plugins.{code}.provided_by", "product", other, file.products)
    return Definitions(file.products, file.machines, library)


def _check_known(where: str, what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise ProductError(
            f"{where}: There is no {what} '{name}'. Write one of {', '.join(known)}."
        )


def _check_product(app: str, library: Library) -> None:
    """Compare a studio's product.yaml with its other files, with other products and with OpenJD.

    Raises:
        ProductError: with the first mistake.
    """
    file = library.places[app] / "product.yaml"
    entry = read_model(ProductEntry, file)
    templates = {
        f"{app}_{operation}": library.template(f"{app}_{operation}")
        for product, operation in library.available()
        if product == app
    }
    for template in templates.values():
        check_open_job(template)
    for operation, name in entry.operations.items():
        _check_known(f"{file}: operations.{operation}", "template", name, templates)
        if (own := templates[name].operation) != operation:
            raise ProductError(
                f"{file}: operations.{operation}: The template '{name}' is of the operation"
                f" '{own}'. Write '{own}: {name}'."
            )
    others = {each.other.name for each in templates.values() if each.other}
    for name in templates:
        if name not in {*entry.operations.values(), *others}:
            raise ProductError(
                f"{file}: operations: The template '{name}' is never used. Add it, or remove its"
                " files."
            )
    for code, plugin in entry.plugins.items():
        if (other := plugin.provided_by) is not None:
            _check_known(f"{file}: plugins.{code}.provided_by", "product", other, library.places)
    place = library.places[app]
    found = {place / "program.yaml": set(library.programs[app].plugins)}
    for template in templates.values():
        needed = (set(each.values()) for each in template.needs_plugin.values())
        where = place / f"{template.name.partition('_')[2]}.farm.yaml"
        found[where] = set(template.plugins).union(*needed)
    for where, codes in found.items():
        if unknown := sorted(codes - set(entry.plugins)):
            raise ProductError(
                f"{where} names the plug-in '{unknown[0]}', which product.yaml beside it does not"
                " have. Add it to 'plugins' there, or remove it."
            )


def _merged(ours: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and key not in _REPLACED:
            merged[key] = _merged(old, value)
        else:
            merged[key] = value
    return merged
