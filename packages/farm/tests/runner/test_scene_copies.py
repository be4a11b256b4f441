"""Copies that are made of scenes: never through a link, and never with more than a scene's rights.

Who reads a scene sees what its renderer sees, and writes nothing. The copy is written by what the
renderer's account runs, in the renderer's own layer.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.confine import Account, drop, is_root, probe
from farm.products import BUILT_IN
from farm_protocol.runner import TOKEN_VARIABLE

from .copy_jobs import ASSET, changed_blobs, copy_job, program_of
from .fake_farm import TOKEN, FakeFarm
from .in_process import python_of_all
from .somebody import folder_of, ordinary_user

COPIES = {"nuke": "/written/partial/Write1/a.####.png", "vray": "/project/show/y</To>"}
"""What is in the copy of each product's reader, and not in what it is a copy of."""


def test_the_readers_of_all_products_are_looked_at() -> None:
    found = [BUILT_IN.template(f"{app}_{name}") for app, name in BUILT_IN.available()]
    # That of Houdini's stages reads and copies nothing.
    assert {each.app for each in found if each.scene_module is not None} == {*COPIES, "hou"}


@pytest.mark.skipif(bool(probe()), reason=probe())
@pytest.mark.parametrize("product", COPIES)
def test_a_copy_never_lands_in_the_farms_store(product: str) -> None:
    with ordinary_user() as user, folder_of(user) as folder:
        python, variables = python_of_all()
        line = [*drop(user), python, "-m", "runner.copy_jobs", str(folder), product, "required"]
        done = subprocess.run(
            line, capture_output=True, text=True, cwd=folder, env=variables, check=False
        )
        if "No module named" in done.stderr:
            pytest.skip("an ordinary user cannot read this project")
        assert done.stdout, done.stderr
        assert COPIES[product] in json.loads(done.stdout)
        assert changed_blobs(folder / "store") == []


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may reach."""
    if not is_root():
        pytest.skip("only root has rights to give up")
    with folder_of(Account(0, 0)) as folder:
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("product", COPIES)
@pytest.mark.parametrize("planted", ["copy", "scene"])
def test_root_follows_no_link_of_a_renderer(
    monkeypatch: pytest.MonkeyPatch, place: Path, product: str, planted: str
) -> None:
    """Of two jobs that share an account, one plants a link in the project of the other."""
    secret = place / "secret"
    secret.write_text(f"{ASSET}<RemapPaths>of root\nWrite {{\n name of_root\n}}\n")
    secret.chmod(0o600)
    work = place / "work"
    (place / "bin").mkdir()
    python, variables = python_of_all()
    variables |= {TOKEN_VARIABLE: TOKEN, "PATH": str(place / "bin")}

    def plant() -> None:
        (root,) = work.iterdir()
        copied = {"nuke": "scene.nk", "vray": "remap.xml"}[product]
        name = copied if planted == "scene" else f".farm-{copied}"
        for link in {name, name.replace(".farm-", ".farm-1-")}:
            (root / "project" / "show" / link).unlink(missing_ok=True)
            (root / "project" / "show" / link).symlink_to(secret)

    def work_with(farm: FakeFarm) -> None:
        answer = farm.answer

        def planting(method: str, path: str, body: bytes) -> tuple[int, str | bytes]:
            # Its files are the account's by now.
            if (method, path) == ("POST", "claims") and farm.claims:
                plant()
            return answer(method, path, body)

        monkeypatch.setattr(farm, "answer", planting)
        line = [python, "-m", "farm.runner", "--farm", farm.url, "--work-dir", str(work)]
        line += ["--program", f"{product}={program_of(place, product)}", "--sandbox", "auto"]
        subprocess.run([*line, "--render-user", "nobody"], env=variables, check=False)

    before = secret.read_text()
    farm = copy_job(place, product, "auto", work_with)
    assert secret.read_text() == before
    assert "of_root" not in farm.log
    assert "of root" not in farm.log
    (finish,) = farm.finishes.values()
    # Without a link to what it may not read, the program gets its copy.
    assert (COPIES[product] in farm.log) == (planted == "copy"), (finish, farm.log)
