"""Which of the farm's programs a job gets, and the message to its user when there is none."""

from collections.abc import Iterable

from farm_protocol.catalogue import ProductVersion
from farm_protocol.jobs import JobSpec
from farm_protocol.runner import PlugInChoice

from farm.catalogue import Catalogue
from farm.catalogue.products import Match, match_version, plugins_of, takes, versions_of


def find_version(catalogue: Catalogue, spec: JobSpec) -> Match:
    """Return the version for a job; see `match_version`.

    Raises:
        ValueError: with a message: there is none, but there are these.
    """
    match = match_version(
        catalogue.products,
        spec.app,
        spec.app_version,
        spec.plugins,
        catalogue.definitions.library,
    )
    if match is None:
        there = [row.version for row in versions_of(catalogue.products, spec.app)]
        asked = f" {spec.app_version}" if spec.app_version else ""
        problem = catalogue.problems.get(spec.app, "")
        if there:
            known = f"It has {', '.join(there)}. {problem}".rstrip()
        else:
            known = problem or catalogue.missing or "None of its machines has this product."
        raise ValueError(f"This farm has no {spec.app}{asked}. {known}")
    return match


def check_plugins(catalogue: Catalogue, spec: JobSpec, version: str) -> list[str]:
    """Return a message for each of a job's plug-ins that is not available for its product's
    version.
    """
    rows = versions_of(catalogue.products, spec.app)
    chosen = _row(rows, version)
    return [
        _refusal(spec, chosen, rows, plugin)
        for plugin in dict.fromkeys(spec.plugins)
        if not takes(chosen, [plugin])
    ]


def plugin_choices(
    catalogue: Catalogue, app: str, version: str, plugins: Iterable[str]
) -> dict[str, PlugInChoice]:
    """Return what a runner may use for each of a job's plug-ins without a version.

    Parameters:
        version: of the product.
        plugins: ``<code>`` or ``<code>:<version>``.
    """
    rows = [row for row in versions_of(catalogue.products, app) if row.version == version]
    # The product may have left the studio's file since the job was submitted.
    product = catalogue.definitions.products.get(app)
    known = product.plugins if product else {}
    choices = {}
    for code in plugins:
        if code in known:  # Rather than "<code>:<version>".
            there = [each for row in rows for each in plugins_of(row, code)]
            choices[code] = PlugInChoice(
                ranges=known[code].ranges_for(version), newest=there[-1] if there else ""
            )
    return choices


def unseen_plugins(catalogue: Catalogue, app: str, plugins: Iterable[str]) -> list[str]:
    """Return those of a job's plug-ins that no runner finds by their files.

    The catalogue declares them as installed, or they are other products.

    Parameters:
        plugins: ``<code>`` or ``<code>:<version>``.
    """
    product = catalogue.definitions.products.get(app)
    known = product.plugins if product else {}
    found = []
    for text in plugins:
        code, _, version = text.partition(":")
        if code in known:
            entry = known[code]
            listed = version in entry.versions if version else bool(entry.versions)
            if listed or entry.provided_by:
                found.append(text)
    return found


def unknown_operation(catalogue: Catalogue, spec: JobSpec) -> dict[str, list[str]]:
    """Return what is wrong with a job, by field, that has no template."""
    products = [row for row in catalogue.products if not row.is_plugin]
    apps = sorted({row.app_type for row in products})
    if spec.app in apps:
        able = {each for row in products if row.app_type == spec.app for each in row.operations}
        field, known = "operation", ", ".join(f"'{each}'" for each in sorted(able))
    else:
        field, known = "app", ", ".join(f"'{app}'" for app in apps)
    can = f"It can run: {known}." if known else catalogue.missing or "It has no products yet."
    return {
        field: [f"This farm cannot run the operation '{spec.operation}' of '{spec.app}'. {can}"]
    }


def _row(rows: list[ProductVersion], version: str) -> ProductVersion:
    return next(row for row in rows if row.version == version)


def _refusal(spec: JobSpec, chosen: ProductVersion, rows: list[ProductVersion], plugin: str) -> str:
    code, _, _version = plugin.partition(":")
    others = [row.version for row in rows if takes(row, [plugin])]
    there = plugins_of(chosen, code)
    if others:
        return (
            f"{chosen.name} {chosen.version} has no plug-in '{plugin}' on this farm, but"
            f" {', '.join(others)} has. Submit with one of these as app_version."
        )
    if there:
        versions = ", ".join(f"'{code}:{each}'" for each in there)
        return (
            f"{chosen.name} {chosen.version} has no plug-in '{plugin}' on this farm. It has"
            f" {versions}. Ask for one of these, or leave the version out."
        )
    codes = ", ".join(f"'{each}'" for each in chosen.compatible_modules) or "no plug-ins"
    return (
        f"This farm has no plug-in '{plugin}' for {spec.app} {chosen.version}, which has {codes}. "
        "Install it there, or submit without it."
    )
