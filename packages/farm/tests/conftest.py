"""Databases for tests: each test that asks for one runs on SQLite and on PostgreSQL."""

import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blenders import BPY_4, BPY_5, Blender, from_pypi, installed
from farm.db.engine.database import Database
from farm.db.opening import open_database

from tools.temporary_postgres import NoPostgresError, TemporaryPostgres

_ON_ONE = ("cli", "farm_api")
_DATABASES = ("sqlite", "postgres")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave one database of each test of the farm's API and commands to `make test-long`.

    Its name decides which, so that together they use both.
    """
    for item in items:
        instance = getattr(item, "callspec", None)
        server = instance and instance.params.get("server")
        if server and item.path.parent.name in _ON_ONE:
            test = item.nodeid.partition("[")[0]
            if server != _DATABASES[zlib.crc32(test.encode()) % 2]:
                item.add_marker(pytest.mark.long)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test of ``every_blender`` an instance for Blender 5, and some one for 4.5."""
    mark = metafunc.definition.get_closest_marker("every_blender")
    if mark is not None and "blender" in metafunc.fixturenames:
        marks = [] if mark.kwargs.get("always") else [pytest.mark.long]
        versions = ["installed", pytest.param(BPY_5, id="5", marks=marks)]
        if mark.kwargs.get("also_4"):
            versions.append(pytest.param(BPY_4, id="4"))
        metafunc.parametrize("blender", versions, indirect=True, scope="session")


@pytest.fixture(scope="session")
def blender(request: pytest.FixtureRequest) -> Blender:
    """What makes and renders a test's scenes."""
    version = getattr(request, "param", "installed")
    if version == "installed":
        return installed()
    return from_pypi(version, request.config.cache.mkdir(f"blender-{version[0]}"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[TemporaryPostgres]:
    """The server of this session."""
    try:
        server = TemporaryPostgres()
    except NoPostgresError as error:
        pytest.skip(f"not tested on PostgreSQL: {error}")
    yield server
    server.close()


@pytest.fixture(scope="session")
def migrated(
    postgres: TemporaryPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Name of a database that holds the farm's empty tables and no farm's identity."""
    with postgres.database() as name:
        database = Database(postgres.url(name))
        database.migrate()
        database.close()
        yield name


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return such a database as an SQLite file."""
    folder = tmp_path_factory.mktemp("migrated")
    database = Database.in_folder(folder)
    database.migrate()
    database.close()
    (file,) = folder.iterdir()
    return file


@pytest.fixture(params=_DATABASES)
def server(request: pytest.FixtureRequest) -> TemporaryPostgres | None:
    """Where this test's databases are: None for SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        return None
    found: TemporaryPostgres = request.getfixturevalue("postgres")
    return found


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, server: TemporaryPostgres | None, tmp_path: Path
) -> Iterator[str | None]:
    """FARM_DATABASE_URL of a farm whose database is new; None: SQLite in its folder.

    A farm whose folder is ``tmp_path`` finds the tables there.
    """
    if server is None:
        file: Path = request.getfixturevalue("migrated_file")
        shutil.copyfile(file, tmp_path / file.name)
        yield None
    else:
        with server.database(request.getfixturevalue("migrated")) as name:
            yield server.url(name)


@pytest.fixture
def empty_url(server: TemporaryPostgres | None) -> Iterator[str | None]:
    """The same without a table in it."""
    if server is None:
        yield None
    else:
        with server.database() as name:
            yield server.url(name)


@pytest.fixture
def open_again(tmp_path: Path, database_url: str | None) -> Iterator[Callable[[], Database]]:
    """Open the test's database, as often as wanted: each is like another process."""
    opened: list[Database] = []

    def open_one() -> Database:
        opened.append(open_database(tmp_path, database_url))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()
