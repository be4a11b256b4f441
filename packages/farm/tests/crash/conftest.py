"""One process in which farms are forked, for all these tests."""

from collections.abc import Iterator

import pytest

from .house import Farms


@pytest.fixture(scope="session")
def farms() -> Iterator[Farms]:
    farms = Farms()
    yield farms
    farms.close()
