"""Dataclasses of rows hold what their columns hold: mypy then checks everybody who reads them."""

from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from farm.db import claims, job_rows, tables
from farm.db.claims import ClaimRow
from farm.db.engine.rows import columns_of, reader
from farm.db.job_rows import JobColumns, JobRow, Work
from farm.db.runners import RunnerRow
from farm.db.tables import jobs
from sqlalchemy import ColumnElement

ROWS = [
    (JobRow, job_rows.ROW_COLUMNS),
    (ClaimRow, claims.CLAIM),
    (RunnerRow, columns_of(RunnerRow, tables.runners.c)),
    (JobColumns, [jobs.c[name] for name in JobColumns.__annotations__]),
    (
        Work,
        columns_of(
            Work,
            [*jobs.c, jobs.c.submission_id.label("project_id"), jobs.c.position.label("snapshot")],
        ),
    ),
]


@pytest.mark.parametrize(("kind", "columns"), ROWS)
def test_fields_are_of_their_columns_types(kind: type[Any], columns: Any) -> None:
    hints = get_type_hints(kind)
    assert list(hints) == [column.name for column in columns]
    for column in columns:
        said = set(get_args(hints[column.name])) or {hints[column.name]}
        if column.name in ("parameters", "plugins"):
            continue  # JSON.
        if kind is not JobColumns:
            # What has no table is computed: whether it may be missing, its query knows.
            assert (NoneType in said) == getattr(column, "nullable", column.name == "slots")
        assert said - {NoneType} == {getattr(column.type, "impl", column.type).python_type}


def test_a_field_without_a_column_is_refused() -> None:
    known: list[ColumnElement[Any]] = [jobs.c.id]
    with pytest.raises(KeyError):
        columns_of(RunnerRow, known)


def test_a_row_is_read_by_name_whatever_the_order_of_its_columns() -> None:
    columns = ("frames_done", "id", "runner_id", "runner_job_id", "job_id", "id2", "id2")
    row = (2, "b", "x", "c", "a", 1, 2)

    assert reader(Pair, columns)(row) == Pair("a", "b")
    assert reader(Pair, columns, "runner_")(row) == Pair("c", "x")
    for wrong in (("id",), ("id", "job_id", "id")):
        with pytest.raises(KeyError):
            reader(Pair, wrong)


@dataclass(frozen=True, slots=True)
class Pair:
    job_id: str
    id: str
