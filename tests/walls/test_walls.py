"""The walls between the rooms hold: each forbidden import is refused by `make check`.

All are planted in one copy of the sources, and import-linter reads that as it reads the real ones.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]
CONTRACTS = {each["name"]: each for each in LINTER["contracts"]}
PACKAGES = tuple(LINTER["root_packages"])

PLANTED = {
    "The client imports nothing of ours": [
        ("gridmarkets.job", "farm_protocol"),
        ("gridmarkets.job", "http_gate"),
        ("gridmarkets._files", "envoy.errors"),
        ("gridmarkets._files", "farm.errors"),
    ],
    "The client needs no library but requests": [
        ("gridmarkets.job", "pydantic"),
        ("gridmarkets.job", "psutil"),
        ("gridmarkets._wire", "sqlalchemy"),
        ("gridmarkets.errors", "anyio"),
        ("gridmarkets._compat", "openjd.model"),
    ],
    "The client's layers: from what a script calls to what runs on each Python": [
        ("gridmarkets.errors", "gridmarkets.project"),
    ],
    "Envoy knows the farm only through the protocol": [
        ("envoy.web.app", "farm.errors"),
        ("envoy.web.app", "gridmarkets"),
    ],
    "The farm knows neither Envoy nor the client": [
        ("farm.errors", "envoy.errors"),
        ("farm.api.app", "gridmarkets"),
    ],
    "The protocol stands alone": [
        ("farm_protocol.paths", "farm.errors"),
        ("farm_protocol.paths", "envoy.errors"),
        ("farm_protocol.text", "http_gate"),
    ],
    "The protocol's layers: what is said of jobs stands on what is said of files and frames": [
        ("farm_protocol.paths", "farm_protocol.jobs"),
        ("farm_protocol.hashing", "farm_protocol.models"),
    ],
    "The gate's layers: connections use addresses and the rate-limited log": [
        ("http_gate.rate_limited_log", "http_gate.bodies"),
    ],
    "The gate knows neither service": [
        ("http_gate.connections", "farm_protocol"),
        ("http_gate.connections", "pydantic"),
    ],
    "The farm's rooms: each imports only from those below it": [
        ("farm.db.jobs", "farm.runner.stage"),
        ("farm.db.claims", "farm.engines.local"),
        ("farm.jobs.budget", "farm.stores.disk"),
        ("farm.jobs.chunks", "farm.db.jobs"),
        ("farm.products._library", "farm.runner.workplace"),
        ("farm.products._files", "farm.renderers.discover"),
        ("farm.confine.account", "farm.runner.workplace"),
        ("farm.engines.local", "farm.stores.disk"),
        ("farm.accounts.users", "farm.catalogue"),
        ("farm.scheduler.loop", "farm.submissions.create"),
        ("farm.submissions.checks", "farm.api.app"),
        ("farm.api.jobs", "farm.main"),
    ],
    "Engines, stores, renderers, runners and scenes know nothing of the server": [
        ("farm.stores.disk", "farm.db.files"),
        ("farm.engines.port", "farm.scheduler.plan"),
        ("farm.scenes.usages", "farm.submissions.checks"),
        ("farm.runner.loop", "farm.db.tables"),
    ],
    "A runner's rooms: claims use results, the sandbox and limits, which know neither": [
        ("farm.runner.results.outputs", "farm.runner.claim.verdict"),
        ("farm.runner.limits.amounts", "farm.runner.results.outputs"),
        ("farm.runner.limits.watch", "farm.runner.sandbox.view"),
    ],
    "Settings know nothing of the parts that get them": [
        ("farm.config", "farm.db.tables"),
        ("farm.config", "farm.scenes.usages"),
        ("farm.config", "farm.confine"),
    ],
    "Engines stand behind their port and know nothing of each other": [
        ("farm.engines.port", "farm.engines.local"),
    ],
    "Stores and what wraps them stand behind their port and know nothing of each other": [
        ("farm.stores.port", "farm.stores.disk"),
        ("farm.stores.wrappers", "farm.stores.disk"),
    ],
    "The database's machinery knows no table's meaning": [
        ("farm.db.engine.turns", "farm.db.tables"),
    ],
    "What decides about jobs imports values": [
        ("farm.jobs.budget", "sqlite3"),
        ("farm.jobs.budget", "psycopg"),
        ("farm.jobs.chunks", "urllib.request"),
        ("farm.jobs.pricing", "http.client"),
        ("farm.scheduler.plan", "concurrent.futures"),
        ("farm.scheduler.plan", "random"),
        ("farm.scheduler.sights", "farm.db.runners"),
        ("farm.frame_health.neighbours", "farm.frame_health.pictures"),
    ],
    "What is pure imports values": [
        ("envoy.submissions.coming", "sqlite3"),
        ("envoy.watch.match", "envoy.journal.database"),
        ("envoy.gather.named", "os"),
        ("farm.submissions.sequences", "datetime"),
        ("farm.confine.policy", "os"),
        ("envoy.watch.lanes", "sqlite3"),
        ("farm.products.nuke.scene", "subprocess"),
        ("farm.products.vray.scene", "time"),
        ("gridmarkets.product_resolver", "os"),
    ],
    "What composes a submission imports values, and makes ids": [
        ("envoy.submissions.compose", "subprocess"),
        ("envoy.submissions.compose", "time"),
    ],
    "What is decided is decided without the world": [
        ("farm.scheduler.plan", "subprocess"),
        ("farm.jobs.budget", "asyncio"),
        ("farm.scheduler.plan", "time"),
        ("farm.scheduler.plan", "sqlalchemy"),
        # Of what those import: no other contract sees this.
        ("farm_protocol.frames", "socket"),
    ],
    "A render node needs nothing of the server": [
        ("farm.runner.stage", "fastapi"),
        ("farm.confine.policy", "typer"),
    ],
    "A product's modules know their reader and the protocol": [
        ("farm.products.nuke.scene", "farm.db.jobs"),
        ("farm.products.vray.scene", "farm.runner.workplace"),
        ("farm.products.hou.husk", "sqlalchemy"),
        ("farm.products._reading", "requests"),
    ],
    "What runs in a renderer's Python finds what lies beside it, and that renderer's modules": [
        ("farm.products.hou.scripts.render", "farm_protocol.paths"),
        ("farm.products.blender.scripts.farm_open", "pydantic"),
        ("farm.products.shared.farm_script", "farm.products"),
        ("farm.products.blender.scripts.render", "farm.db"),
        ("farm.products.shared.drive", "farm.confine"),
        ("farm.products.shared.farm_script", "OpenImageIO"),
        ("farm.products.ffmpeg.scripts.farm_frames", "OpenImageIO"),
    ],
    "What lies in a product's folder is that product's own": [
        ("farm.db.jobs", "farm.products.nuke.scene"),
        ("farm.runner.loop", "farm.products.blender"),
        ("envoy.gather.rules", "farm.products.hou.scripts.farm_inputs"),
        ("farm.products._reading", "farm.products.vray.scene"),
        ("farm.products", "farm.products.hou.husk"),
        ("farm.products.shared.drive", "farm.products.vray.scene"),
    ],
    "The client's root is for scripts: nothing below it imports from it": [
        ("gridmarkets.errors", "gridmarkets"),
    ],
    "A package's root imports nothing: what lies below it has its place, and the root has none": [
        ("envoy", "envoy.main"),
        ("farm", "datetime"),
        ("farm", "farm.errors"),
        ("farm_protocol", "pydantic"),
        ("http_gate", "starlette"),
    ],
    "Migrations know tables, and nothing that may change what they did": [
        ("farm.db.migrations.env", "farm.jobs"),
        ("farm.db.migrations.env", "farm.db.jobs"),
    ],
    "Only the runner's farm client speaks HTTP": [
        ("farm.runner.claim.run", "httpx"),
    ],
    "Only a claim's session and what makes its job speak OpenJD": [
        ("farm.runner.claim.run", "openjd.sessions"),
        ("farm.api.users", "openjd.model"),
    ],
    "Only what may be lost, and runners, decode images": [
        ("farm.api.app", "OpenImageIO"),
    ],
    "The asset tracer is only used in its own process": [
        ("farm.scenes.blend_assets", "blender_asset_tracer"),
    ],
    "Envoy's rooms: each imports only from those below it": [
        ("envoy.web.guard", "envoy.main"),
        ("envoy.views.status", "envoy.submissions.compose"),
        ("envoy.journal.store", "envoy.farm.client"),
        ("envoy.process.slots", "envoy.journal"),
    ],
    "Only Envoy's main starts a farm": [
        ("envoy.upload.transfer", "envoy.farm.embedded"),
        ("envoy.farm.client", "envoy.farm.embedded"),
        ("envoy.farm.account", "envoy.farm.embedded"),
    ],
    "Uploads and downloads know nothing of each other": [
        ("envoy.upload.scan", "envoy.watch.match"),
        ("envoy.watch.follow", "envoy.upload.scan"),
    ],
    "Only the farm client, with its calls, answers and addresses, speaks HTTP to the farm": [
        ("envoy.upload.transfer", "httpx"),
    ],
    "Only the farm's main names concrete engines and stores": [
        ("farm.scheduler.loop", "farm.engines.local"),
        ("farm.submissions.create", "farm.stores.disk"),
        ("farm.__main__", "farm.stores.disk"),
        ("farm.process.server", "farm.engines.local"),
    ],
    "What calls, decodes images or speaks OpenJD is the runner's": [
        ("farm.scheduler.loop", "farm.runner.farm_client"),
        ("farm.api.jobs", "farm.runner.results.image_check"),
        ("farm.api.blobs", "farm.runner.results.image_worker"),
        ("farm.submissions.create", "farm.runner.claim.session"),
    ],
    "The program that reads scenes is imported by nobody": [
        ("farm.scenes.traces", "farm.scenes.blend_trace"),
        ("farm.api.jobs", "farm.scenes.blend_trace"),
    ],
    "What confines imports the protocol only": [
        ("farm.confine.policy", "farm.errors"),
        ("farm.confine.removal", "farm.wakeup"),
        ("farm.confine.account", "farm"),
    ],
    "There is one library for HTTP": [
        ("envoy.upload.transfer", "requests"),
        ("envoy.upload.transfer", "urllib.request"),
        ("envoy.farm.client", "http.client"),
        ("farm.api.app", "http.client"),
        ("farm.runner.farm_client", "urllib.request"),
        ("farm_protocol.hashing", "urllib3"),
        ("envoy.upload.transfer", "httpcore"),
        ("farm.api.app", "httpcore"),
        ("http_gate.bodies", "h11"),
    ],
    "Envoy imports the libraries that are listed": [
        ("envoy.upload.transfer", "aiohttp"),
        ("envoy.upload.transfer", "pycurl"),
    ],
    "The farm imports the libraries that are listed": [
        ("farm.api.app", "httpcore"),
        ("farm.api.app", "pycurl"),
        ("farm.api.app", "bpy"),
        ("farm.runner.loop", "hou"),
        # A script's, which only what lies beside it finds.
        ("farm.runner.loop", "farm_events"),
    ],
    "The protocol and the gate import the libraries that are listed": [
        ("farm_protocol.hashing", "httpx"),
        ("http_gate.bodies", "pycurl"),
    ],
}
"""The contracts, and imports that each of them refuses: module and what it imports."""

PRODUCTS_FOLDER = ROOT / "packages/farm/src/farm/products"
PRODUCTS = sorted(each.parent.name for each in PRODUCTS_FOLDER.glob("*/product.yaml"))
LATER = "later"
"""A product that somebody will add. It is made in the copy only."""
OF_RENDERERS = {"OpenImageIO", "PyOpenColorIO", "addon_utils", "bpy", "hou"}


def planted_in_products() -> Iterator[tuple[str, str, str]]:
    """Yield (contract, module, forbidden import) for a module and a script of each product.

    They are called ``planted``: not each product has both.
    """
    of_modules = "A product's modules know their reader and the protocol"
    of_folders = "What lies in a product's folder is that product's own"
    (of_scripts,) = (name for name in CONTRACTS if name.startswith("What runs in a renderer's"))
    allowed = {tuple(pair.split(" -> ")) for pair in CONTRACTS[of_scripts]["allowed_imports"]}
    for product in (*PRODUCTS, LATER):
        module, scripts = f"farm.products.{product}.planted", f"farm.products.{product}.scripts"
        for other in (*PRODUCTS, LATER):
            if other != product:
                yield of_folders, module, f"farm.products.{other}.planted"
                yield of_folders, f"{scripts}.planted", f"farm.products.{other}.scripts.planted"
                yield of_scripts, f"{scripts}.planted", f"only_in_{other}"
        for library in sorted(OF_RENDERERS):
            yield of_modules, module, library
            if (scripts, library) not in allowed:
                yield of_scripts, f"{scripts}.planted", library


def planted_in_roots() -> Iterator[tuple[str, str, str]]:
    """Yield the same for the roots of packages whose modules have their places on floors."""
    (of_roots,) = (name for name in CONTRACTS if name.startswith("A package's root"))
    for contract in CONTRACTS.values():
        if contract["type"] != "layers":
            continue
        for package in contract["containers"]:
            # The client's root is what scripts import.
            if package != "gridmarkets":
                yield (
                    of_roots,
                    package,
                    f"{package}.{re.split('[|:]', contract['layers'][0])[0].strip()}",
                )


for contract, module, imported in (*planted_in_products(), *planted_in_roots()):
    if (module, imported) not in PLANTED[contract]:
        PLANTED[contract].append((module, imported))

CLOCK = [("farm.jobs.pricing", "now"), ("farm.scheduler.plan", "today")]
"""Modules that ask what time it is."""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what each contract says of a copy in which all of them, and a new room, stand."""
    copy = tmp_path_factory.mktemp("planted")
    sources = []
    for folder in sorted((ROOT / "packages").glob("*/src")):
        sources.append(copy / folder.parent.name)
        shutil.copytree(
            folder, sources[-1], ignore=shutil.ignore_patterns("__pycache__", "versions")
        )

    for product in (*PRODUCTS, LATER):
        folder = copy / "farm/farm/products" / product
        (folder / "scripts").mkdir(parents=True, exist_ok=True)
        for name in ("planted", "scripts/planted", f"scripts/only_in_{product}"):
            (folder / f"{name}.py").touch()

    def plant(module: str, line: str) -> None:
        named = module.replace(".", "/")
        (found,) = [
            path
            for source in sources
            for path in (source / f"{named}.py", source / named / "__init__.py")
            if path.exists()
        ]
        found.write_text(f"{found.read_text()}\n{line}\n")

    for module, imported in (pair for pairs in PLANTED.values() for pair in pairs):
        plant(module, f"import {imported}")
    for module, asked in CLOCK:
        plant(module, f"import datetime\n_NOW = datetime.datetime.{asked}()")
    attic = copy / "farm" / "farm" / "attic"
    attic.mkdir()
    (attic / "__init__.py").touch()
    program = "from importlinter.cli import lint_imports_command as main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--config", ROOT / "pyproject.toml", "--no-cache"],
        # The root: for tools/import_contracts.py.
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (*sources, ROOT))),
            "COLUMNS": "500",
        },
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    (_, *parts) = re.split(r"^(.+)\n-+\n", done.stdout, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_each_contract_refuses_something() -> None:
    assert set(PLANTED) == set(CONTRACTS)


@pytest.mark.parametrize(
    ("contract", "module", "imported"),
    [(name, *pair) for name, pairs in PLANTED.items() for pair in pairs],
)
def test_a_forbidden_import_is_refused(
    said: dict[str, str], contract: str, module: str, imported: str
) -> None:
    # import-linter's own contracts know only the first name of what is not ours.
    first = imported if imported.startswith(PACKAGES) else imported.partition(".")[0]
    told = said.get(contract, "")
    assert f"{module} -> {imported} " in told or f"{module} -> {first} " in told


@pytest.mark.parametrize(("module", "asked"), CLOCK)
def test_what_decides_does_not_ask_for_the_time(
    said: dict[str, str], module: str, asked: str
) -> None:
    assert f"{module} -> {asked} " in said["What decides about jobs imports values"]


MODULES = {
    ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): path
    for source in sorted((ROOT / "packages").glob("*/src"))
    for path in sorted(source.rglob("*.py"))
}


def stands_in_a_list(module: str, *, without_clock: bool) -> bool:
    """Return whether a contract lists what a module may import."""
    return any(
        re.fullmatch(source.replace(".", r"\.").replace("*", "[^.]+") + r"(\..+)?", module)
        for contract in CONTRACTS.values()
        if contract["type"] == "only" and not (without_clock and contract.get("clock"))
        for source in contract["source_modules"]
    )


def calls_itself_pure(source: str) -> bool:
    """Return whether a docstring says so: the module's own, or one of what is in it."""
    named = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return any(
        re.search(r"\bpure\b", ast.get_docstring(node) or "", re.IGNORECASE)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, named)
    )


def test_what_calls_itself_pure_stands_in_a_wall() -> None:
    pure = [name for name, path in MODULES.items() if calls_itself_pure(path.read_text("utf-8"))]
    assert pure
    assert [each for each in pure if not stands_in_a_list(each, without_clock=True)] == []


@pytest.mark.parametrize(
    "source",
    [
        '"""What is next. Pure but for the clock given in.\n\nMore."""',
        '"""What is written. Pure text work."""',
        '"""What follows, as pure functions."""',
        'class Sum:\n    """Of numbers. Pure: told times."""',
    ],
)
def test_whoever_calls_itself_pure_is_found(source: str) -> None:
    assert calls_itself_pure(source)


def test_what_import_linter_does_not_see_has_a_list() -> None:
    """It knows packages only, and passes over folders without an ``__init__.py``."""
    unseen = [
        name
        for name, path in MODULES.items()
        for folders in [name.split(".")[: -1 if path.name != "__init__.py" else None]]
        if any(".".join(folders[: n + 1]) not in MODULES for n in range(len(folders)))
    ]
    assert "farm.products.nuke.scene" in unseen
    assert [each for each in unseen if not stands_in_a_list(each, without_clock=False)] == []


def test_every_module_of_the_farm_and_envoy_lives_in_a_room() -> None:
    """But for those that decision 37 names."""
    loose = {
        name
        for name, path in MODULES.items()
        if name.startswith(("farm.", "envoy."))
        if name.count(".") == 1 and path.name not in ("__init__.py", "__main__.py")
    }
    assert {each.partition(".")[2] for each in loose} == {
        *("main", "config", "errors", "version", "wakeup"),
    }


def test_a_new_room_must_be_given_its_place(said: dict[str, str]) -> None:
    assert "farm.attic" in said["The farm's rooms: each imports only from those below it"]
