"""The client's pages show code that runs: each block stands in a script that a test executes."""

import re
import subprocess
from pathlib import Path

import pytest
from every_python import interpreter

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "client").glob("*.md"))
SCRIPTS = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "examples").glob("*.py"))
    # For Blender's Python, not for the client.
    if path.name != "make_sample_project.py"
}

_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def lines_of(code: str) -> list[str]:
    """Return lines without their indentation, and without the empty ones."""
    return [line.strip() for line in code.splitlines() if line.strip()]


def stands_in(block: list[str], script: list[str]) -> bool:
    return any(script[at : at + len(block)] == block for at in range(len(script)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_python_stands_in_a_script_that_its_page_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [lines_of(code) for name, code in SCRIPTS.items() if f"`examples/{name}`" in text]
    for block in _PYTHON.findall(text):
        assert any(stands_in(lines_of(block), script) for script in named), block


def test_the_index_names_every_page_and_every_script() -> None:
    text = (ROOT / "docs" / "client" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| \[.+\]\((.+)\) \| `(.+)` \|$", text, re.MULTILINE)
    assert {page for page, _ in rows} == {page.name for page in PAGES} - {"index.md"}
    assert {script for _, script in rows} == set(SCRIPTS)


def test_every_script_is_python_2_as_well() -> None:
    python = interpreter("2.7")
    if python is None:
        pytest.skip("no Python 2.7 under the pyenv root")
    code = "import sys\nfor name in sys.argv[1:]: compile(open(name).read(), name, 'exec')"
    paths = [ROOT / "examples" / name for name in SCRIPTS]
    done = subprocess.run([python, "-c", code, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
