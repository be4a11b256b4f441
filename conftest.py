"""Which tests `make test` has, how many workers, and temporary folders that everybody can enter.

A renderer of a farm that is root is not: without a sandbox it sees what others may see, and pytest
keeps its folders from them. Another session of pytest would shut its usual folder again.
"""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest

_MOST_CORES = 4
_OPEN = 0o711
_IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
_made = pytest.StashKey[Path]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return a worker for each core and one more: tests wait for processes and their ends.

    No more for many cores: each worker starts its own PostgreSQL, farms and renderers.
    """
    return min(os.cpu_count() or 1, _MOST_CORES) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all but the first instances of a test with a ``sample`` to `make test-long`."""
    instances: Counter[str] = Counter()
    for item in items:
        if (sample := item.get_closest_marker("sample")) is not None:
            test = item.nodeid.partition("[")[0]
            instances[test] += 1
            if instances[test] > sample.args[0]:
                item.add_marker(pytest.mark.long)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose a folder, before pytest does."""
    if _IS_ROOT and config.option.basetemp is None:
        folder = Path(tempfile.mkdtemp(prefix="farm-tests-"))
        folder.chmod(_OPEN)
        config.option.basetemp = str(folder / "session")
        config.stash[_made] = folder


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the folders of tests that failed."""
    if exitstatus == 0 and (folder := session.config.stash.get(_made, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _way_in(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    if _IS_ROOT and "tmp_path" in request.fixturenames:
        base = tmp_path_factory.getbasetemp()
        for folder in (request.getfixturevalue("tmp_path"), base, base.parent):
            folder.chmod(_OPEN)
