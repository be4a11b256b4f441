"""The walls between the rooms hold: each forbidden import is refused by `make check`.

All are planted in one copy of the sources, and import-linter reads that as it reads the real ones.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED = [
    ("farm.scheduler.loop", "farm.engines.local"),
    ("farm.submissions.create", "farm.stores.disk"),
    ("farm.scheduler.plan", "subprocess"),
    ("farm.confine.policy", "farm.errors"),
    ("envoy.upload.transfer", "requests"),
    ("farm.db.jobs", "farm.runner.stage"),
    ("farm.db.claims", "farm.engines.local"),
    ("farm.db.engine.turns", "farm.db.tables"),
    ("farm.jobs.budget", "farm.stores.disk"),
    ("farm.jobs.chunks", "farm.db.jobs"),
    ("farm.products._library", "farm.runner.workplace"),
    ("farm.products._files", "farm.renderers.discover"),
    ("farm.confine.account", "farm.runner.workplace"),
    ("farm.engines.local", "farm.stores.disk"),
    ("farm.engines.port", "farm.scheduler.plan"),
    ("farm.engines.port", "farm.engines.local"),
    ("farm.stores.disk", "farm.db.files"),
    ("farm.stores.port", "farm.stores.disk"),
    ("farm.stores.wrappers", "farm.stores.disk"),
    ("farm.config", "farm.db.tables"),
    ("farm.api.app", "OpenImageIO"),
    ("farm.jobs.budget", "asyncio"),
    ("farm.scheduler.plan", "time"),
    ("farm.scenes.usages", "farm.submissions.checks"),
    ("farm.runner.loop", "farm.db.tables"),
    ("farm.runner.stage", "fastapi"),
    ("farm.runner.claim.run", "httpx"),
    ("farm.runner.claim.run", "openjd.sessions"),
    ("farm.runner.results.outputs", "farm.runner.claim.verdict"),
    ("farm.runner.limits.amounts", "farm.runner.results.outputs"),
    ("farm.runner.limits.watch", "farm.runner.sandbox.view"),
    ("farm.frame_health.neighbours", "farm.frame_health.pictures"),
    ("farm.accounts.users", "farm.catalogue"),
    ("farm.scheduler.plan", "sqlalchemy"),
    ("farm.scheduler.loop", "farm.submissions.create"),
    ("farm.submissions.checks", "farm.api.app"),
    ("farm.api.jobs", "farm.main"),
    ("farm.api.users", "openjd.model"),
    ("farm.errors", "envoy.errors"),
    ("farm.scenes.blend_assets", "blender_asset_tracer"),
    ("envoy.web.app", "farm.errors"),
    ("envoy.web.guard", "envoy.main"),
    ("envoy.views.status", "envoy.submissions.compose"),
    ("envoy.upload.scan", "envoy.watch.match"),
    ("envoy.watch.follow", "envoy.upload.scan"),
    ("envoy.upload.transfer", "httpx"),
    ("envoy.upload.transfer", "envoy.farm.embedded"),
    ("envoy.journal.store", "envoy.farm.client"),
    ("envoy.process.threads", "envoy.journal"),
    ("gridmarkets.job", "farm_protocol"),
    ("gridmarkets.job", "pydantic"),
    ("gridmarkets.errors", "gridmarkets.project"),
    ("farm_protocol.paths", "farm.errors"),
    ("farm_protocol.paths", "farm_protocol.jobs"),
    ("farm_protocol.hashing", "farm_protocol.models"),
    ("http_gate.connections", "farm_protocol"),
    ("http_gate.seldom", "http_gate.bodies"),
]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what import-linter says of a copy in which all of them, and a new room, stand."""
    copy = tmp_path_factory.mktemp("planted")
    sources = []
    for folder in sorted((ROOT / "packages").glob("*/src")):
        sources.append(copy / folder.parent.name)
        shutil.copytree(
            folder, sources[-1], ignore=shutil.ignore_patterns("__pycache__", "versions")
        )
    for module, imported in PLANTED:
        (found,) = [
            path
            for source in sources
            if (path := source / (module.replace(".", "/") + ".py")).exists()
        ]
        found.write_text(f"{found.read_text()}\nimport {imported}\n")
    attic = copy / "farm" / "farm" / "attic"
    attic.mkdir()
    (attic / "__init__.py").touch()
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "from importlinter.cli import lint_imports_command as main; main()",
            ),
            *("--config", ROOT / "pyproject.toml", "--no-cache"),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sources)), "COLUMNS": "500"},
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize(("module", "imported"), PLANTED)
def test_a_forbidden_import_is_refused(said: str, module: str, imported: str) -> None:
    assert f"{module} -> {imported.removesuffix('.sessions').removesuffix('.model')} " in said


def test_a_new_room_must_be_given_its_place(said: str) -> None:
    assert "farm.attic" in said
