"""The catalogue's data: each product's ``product.yaml``, overridden by a studio's file."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from farm_protocol.runner import JobLimits, LicenceServer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from farm.products import BUILT_IN, Library, ProductError, Template, load_yaml
from farm.renderers import ALL, in_range

_REPLACED = frozenset({"works_with"})
"""Mappings that a studio's file replaces: if merged, our "all" would always remain."""

Price = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]
Version = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\A[^\s:]+\z")]


def _checked_server(text: str) -> str:
    host, _, port = text.rpartition(":")
    if host.startswith("["):
        ipaddress.IPv6Address(host.strip("[]"))
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"'{text}' has no port from 1 to 65535")
    return text


Server = Annotated[
    str,
    Field(pattern=r"\A(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}\z", max_length=260),
    AfterValidator(_checked_server),
]
"""``host:port``; an IPv6 address in brackets."""
Code = Annotated[str, Field(pattern=r"\A[a-z][a-z0-9_]*\z", max_length=100)]


class CatalogueError(Exception):
    """A catalogue file is wrong. ``str()`` names the file, the field and what is wrong."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlugInEntry(_Entry):
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

    name: str
    versions: list[Version] = []
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
                raise ValueError(f"'{text}' is not a range. Write 'all', '2025' or '2023..2025'.")
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


class ProductEntry(_Entry):
    """A product.

    Attributes:
        name: for people.
        operations: operation -> name of its template.
        versions: installed on machines where this farm cannot look.
        plugins: by short code.
        credits_per_hour: price of an instance by machine type, where it differs from the machine's.
        licence_servers: that its renderers reach from their sandbox, beside nothing else.
    """

    name: str
    operations: dict[str, str]
    versions: list[Version] = []
    plugins: dict[Code, PlugInEntry] = {}
    credits_per_hour: dict[str, Price] = {}
    licence_servers: list[Server] = []


class LimitsEntry(_Entry):
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


class MachineEntry(_Entry):
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


class _File(_Entry):
    """A whole catalogue file."""

    products: dict[Code, ProductEntry]
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
        ours = {"products": library.entries()}
    except ProductError as error:
        raise CatalogueError(str(error)) from error
    if studio is None:
        return _checked("The products' own files", ours, library)
    try:
        over = load_yaml(studio.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogueError(
            f"The catalogue {studio} cannot be read: {error.strerror or error}."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogueError(f"The catalogue {studio} is not YAML: {error}") from error
    if not isinstance(over, Mapping):
        raise CatalogueError(f"The catalogue {studio} must be a mapping, with 'products' in it.")
    return _checked(f"The catalogue {studio}", _merged(ours, over), library)


def _checked(what: str, content: Mapping[str, Any], library: Library) -> Definitions:
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"])
        hint = " Write versions in quotes." if fault["type"] == "string_type" else ""
        raise CatalogueError(f"{what}: {field}: {fault['msg']}.{hint}") from error
    definitions = Definitions(file.products, file.machines, library)
    if message := _unknown_plugin(definitions):
        raise CatalogueError(message)
    return definitions


def _unknown_plugin(definitions: Definitions) -> str:
    """Return a message about a plug-in that a studio's product uses without offering it; or ""."""
    library = definitions.library
    for app in library.own:
        product, found = definitions.products[app], {}
        if app in library.programs:
            found["program.yaml"] = set(library.programs[app].plugins)
        for operation in definitions.operations(app):
            if template := definitions.template(app, operation):
                needed = (set(each.values()) for each in template.needs_plugin.values())
                found[f"{operation}.farm.yaml"] = set(template.plugins).union(*needed)
        for where, codes in found.items():
            if unknown := sorted(codes - set(product.plugins)):
                return (
                    f"{where} of {app} names the plug-in '{unknown[0]}', which its product.yaml"
                    " does not have."
                )
    return ""


def _merged(ours: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and key not in _REPLACED:
            merged[key] = _merged(old, value)
        else:
            merged[key] = value
    return merged
