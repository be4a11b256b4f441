"""The products that this farm can run now, and which version a job gets."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from farm_protocol.catalogue import ProductVersion
from farm_protocol.runner import Program

from farm.catalogue.definitions import Definitions, built_in
from farm.products import BUILT_IN, Library
from farm.renderers import begins_with, version_key


@dataclass(frozen=True, slots=True)
class Installed:
    """A program that some machine of the farm has. ``plugins``: ``<code>:<version>``."""

    app: str
    version: str
    plugins: tuple[str, ...] = ()

    @classmethod
    def of(cls, program: Program) -> "Installed":
        """Return a program as a runner has reported it."""
        return cls(program.app, program.version, tuple(program.plugins))


@dataclass(frozen=True, slots=True)
class Match:
    """The version that a job gets, and what its user should know about that; "" when nothing."""

    version: str
    warning: str = ""


def product_rows(
    installed: Sequence[Installed], definitions: Definitions | None = None
) -> list[ProductVersion]:
    """Return the rows of ``GET /v1/products`` for one machine; see `merged`.

    Programs of which no operation can be run are left out, and so are plug-ins that fit nothing.

    Parameters:
        installed: what the machine has.
        definitions: the catalogue; None: our own.
    """
    definitions = definitions or built_in()
    have = defaultdict(list)
    for each in installed:
        have[each.app].append(each.version)
    rows: list[ProductVersion] = []
    for each in installed:
        operations = definitions.operations(each.app)
        if not operations:
            continue
        product = definitions.products[each.app]
        row_id = f"{each.app}:{each.version}"
        modules = []
        for code, plugin in product.plugins.items():
            found = [text.partition(":")[2] for text in each.plugins if _code(text) == code]
            provided = have[plugin.provided_by] if plugin.provided_by else []
            for version in dict.fromkeys([*found, *provided, *plugin.versions]):
                if plugin.fits(version, each.version):
                    modules.append(f"{code}:{version}")
                    rows.append(
                        ProductVersion(
                            id=f"{code}:{version}",
                            name=plugin.name,
                            app_type=code,
                            version=version,
                            is_plugin=True,
                            compatible_modules=[row_id],
                        )
                    )
        rows.append(
            ProductVersion(
                id=row_id,
                name=product.name,
                app_type=each.app,
                version=each.version,
                operations=operations,
                compatible_modules=modules,
            )
        )
    return merged(rows)


def listed(definitions: Definitions) -> list[Installed]:
    """Return the programs that the catalogue itself says are there."""
    return [
        Installed(app, version)
        for app, product in definitions.products.items()
        for version in product.versions
    ]


def merged(rows: Iterable[ProductVersion]) -> list[ProductVersion]:
    """Return the rows of several machines as one list: products, then plug-ins, by version.

    What works together on one of the machines does so on the farm. A code that is a product's and
    a plug-in's (``vray``) has one row a version, which is the product's where there is one.
    """
    by_id: dict[str, ProductVersion] = {}
    for row in rows:
        old = by_id.get(row.id)
        if old is None:
            by_id[row.id] = row
            continue
        leading = old if row.is_plugin else row
        modules = sorted({*old.compatible_modules, *row.compatible_modules}, key=_module_key)
        by_id[row.id] = leading.model_copy(update={"compatible_modules": modules})
    return sorted(
        by_id.values(), key=lambda row: (row.is_plugin, row.app_type, version_key(row.version))
    )


def plugins_of(row: ProductVersion, code: str) -> list[str]:
    """Return the versions of a plug-in that work with a product version, oldest first."""
    found = [each.partition(":")[2] for each in row.compatible_modules if _code(each) == code]
    return sorted(found, key=version_key)


def takes(row: ProductVersion, plugins: Collection[str]) -> bool:
    """Return whether a product version works with all these plug-ins.

    Parameters:
        plugins: ``<code>`` or ``<code>:<version>``.
    """
    return all(
        plugins_of(row, text) if ":" not in text else text in row.compatible_modules
        for text in plugins
    )


def versions_of(products: Sequence[ProductVersion], app: str) -> list[ProductVersion]:
    """Return the rows of a product, oldest version first; not those of a plug-in of that name."""
    rows = [row for row in products if row.app_type == app and not row.is_plugin]
    return sorted(rows, key=lambda row: version_key(row.version))


def match_version(
    products: Sequence[ProductVersion],
    app: str,
    wanted: str,
    plugins: Collection[str] = (),
    library: Library = BUILT_IN,
) -> Match | None:
    """Return the version that a job asking for ``wanted`` gets; None when there is none.

    A full version is that one. ``""`` is the newest, the beginning of one (``"3.4"``) the newest
    that begins so: 3.4.1, but not 3.40. Else the newest of the same series stands in, with a
    warning. Of several that fit, those that take the plug-ins come first. Another series is never
    taken: it may draw another picture.
    """
    rows = versions_of(products, app)
    exact = next((row for row in rows if row.version == wanted), None)
    if exact is not None:
        return Match(exact.version)
    beginning = [row for row in rows if begins_with(row.version, wanted)]
    if beginning:
        return Match(_newest(beginning, plugins))
    related = [
        row for row in rows if library.series(app, row.version) == library.series(app, wanted)
    ]
    if not related:
        return None
    version = _newest(related, plugins)
    name = related[0].name
    return Match(
        version,
        f"This farm does not have {name} {wanted}. It uses {name} {version}, of the same series.",
    )


def _newest(rows: Sequence[ProductVersion], plugins: Collection[str]) -> str:
    fitting = [row for row in rows if takes(row, plugins)]
    return (fitting or rows)[-1].version


def _code(module: str) -> str:
    return module.partition(":")[0]


def _module_key(module: str) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    code, _, version = module.partition(":")
    return code, version_key(version)
