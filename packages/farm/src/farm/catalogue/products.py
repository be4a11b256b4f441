"""The products that this farm can currently run, and the choice of a version for a job."""

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
    """A program that is installed on a machine of the farm. ``plugins``: ``<code>:<version>``."""

    app: str
    version: str
    plugins: tuple[str, ...] = ()

    @classmethod
    def of(cls, program: Program) -> "Installed":
        """Convert a program that a runner has reported."""
        return cls(program.app, program.version, tuple(program.plugins))


@dataclass(frozen=True, slots=True)
class Match:
    """The version that a job gets, and a warning to its user; "" for none."""

    version: str
    warning: str = ""


def product_rows(
    installed: Sequence[Installed], definitions: Definitions | None = None
) -> list[ProductVersion]:
    """Return the rows of ``GET /v1/products`` for one machine; see `merged`.

    Programs without any operation that can be run are omitted, and so are plug-ins that are
    compatible with none of the programs.

    Parameters:
        installed: the programs on the machine.
        definitions: the catalogue; None: the built-in one.
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
    """Return the programs that the catalogue itself lists as installed."""
    return [
        Installed(app, version)
        for app, product in definitions.products.items()
        for version in product.versions
    ]


def merged(rows: Iterable[ProductVersion]) -> list[ProductVersion]:
    """Merge the rows of several machines: products, then plug-ins, each sorted by version.

    Modules that are compatible on one of the machines are compatible on the farm. If a code belongs
    to a product and to a plug-in (``vray``), the product's row of a version takes precedence.
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
    """Return the versions of a plug-in that are compatible with a product version, oldest first."""
    found = [each.partition(":")[2] for each in row.compatible_modules if _code(each) == code]
    return sorted(found, key=version_key)


def takes(row: ProductVersion, plugins: Collection[str]) -> bool:
    """Return whether a product version is compatible with all these plug-ins.

    Parameters:
        plugins: ``<code>`` or ``<code>:<version>``.
    """
    return all(
        plugins_of(row, text) if ":" not in text else text in row.compatible_modules
        for text in plugins
    )


def versions_of(products: Sequence[ProductVersion], app: str) -> list[ProductVersion]:
    """Return the rows of a product, without plug-ins of the same code, oldest version first."""
    rows = [row for row in products if row.app_type == app and not row.is_plugin]
    return sorted(rows, key=lambda row: version_key(row.version))


def match_version(
    products: Sequence[ProductVersion],
    app: str,
    wanted: str,
    plugins: Collection[str] = (),
    library: Library = BUILT_IN,
) -> Match | None:
    """Choose a version for a job; None if there is none.

    An exact match comes first. A prefix such as ``"3.4"`` means the newest version with this prefix
    (3.4.1, but not 3.40), and ``""`` the newest of all. Otherwise, the newest version of the same
    series is used, with a warning. Versions that are compatible with the plug-ins are preferred.
    Another series is never used, since it may render a different image.

    Parameters:
        products: see `merged`.
        wanted: the version that the job asks for.
        plugins: ``<code>`` or ``<code>:<version>``.
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
