"""What is kept of a log that is too long."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from farm.runner.claim.joblog import HEAD, TAIL, ClaimLog
from farm.runner.farm_client import Farm
from farm_protocol.runner import RunnerJob

from .fake_farm import TOKEN, FakeFarm


@pytest.fixture
def farm() -> Iterator[FakeFarm]:
    nothing: dict[str, Any] = {}  # Nobody asks for the job.
    made = FakeFarm(RunnerJob.model_construct(**nothing), [])
    yield made
    made.down()


def log_of(farm: FakeFarm, lines: Iterable[str]) -> str:
    runner = Farm(farm.url, TOKEN)
    log = ClaimLog(runner, "c1")
    for line in lines:
        log.add(line)
    log.close()
    runner.close()
    assert farm.problems == []
    return farm.log


def test_a_long_log_keeps_its_beginning_and_its_end(farm: FakeFarm) -> None:
    lines = [f"line {number} " + "x" * 990 for number in range(9000)]
    text = log_of(farm, ["the first", *lines, "Error: no memory", "It broke."])
    assert text.startswith("the first\nline 0 ")
    assert text.endswith("\nError: no memory\nIt broke.\n")
    assert len(text) < HEAD + TAIL + 2000
    ((told, missing),) = re.findall(r"(\n\.\.\. (\d+) [^\n]+ \.\.\.\n\n)", text)
    whole = sum(len(line) + 1 for line in ["the first", *lines, "Error: no memory", "It broke."])
    assert int(missing) == whole - (len(text) - len(told))


def test_of_one_endless_line_the_end_is_kept(farm: FakeFarm) -> None:
    text = log_of(farm, ["the first", "x" * (HEAD + TAIL) + "the end", "It broke."])
    assert text.startswith("the first\n\n... ")
    assert text.endswith("xthe end\nIt broke.\n")
    assert len(text) < TAIL + 100


def test_a_log_that_is_just_short_enough_is_whole(farm: FakeFarm) -> None:
    lines = ["x" * 99_999] * (HEAD // 100_000)
    text = log_of(farm, [*lines, *lines[: TAIL // 100_000]])
    assert text == "\n".join([*lines, *lines[: TAIL // 100_000], ""])
