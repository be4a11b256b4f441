"""Who writes the states of jobs and frames, and the counts that follow from these: one module each.

That the counts are right, whatever happens, is tried in ``packages/farm/tests/scheduler``.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FARM = Path(__file__).parents[2] / "packages/farm/src/farm"
SOURCES = [each for each in sorted(FARM.rglob("*.py")) if "/versions/" not in each.as_posix()]

WRITERS = {
    "frames": {"db/frame_states.py", "db/frame_runs.py"},
    "frame_runs": {"db/frame_runs.py"},
    "jobs": {"db/job_rows.py", "db/job_warnings.py", "db/new_jobs.py"},
}
"""Tables, and the modules that may change their rows."""

COUNTS = {"frames_done", "frames_failed", "frames_running"}


def changed_tables(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Name(id="insert" | "update" | "delete"), args=[ast.Name(id=table), *_]
            ):
                yield table


def set_columns(tree: ast.AST) -> Iterator[str]:
    """Yield the names that are given to a setter, or stand in a mapping that could be given."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), keywords=given):
                if name in {"put", "apply_to", "update", "dict"}:
                    yield from (each.arg for each in given if each.arg)
            case ast.Dict(keys=keys):
                yield from (str(each.value) for each in keys if isinstance(each, ast.Constant))
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str(name)))]):
                yield name
            case (
                ast.Assign(targets=[ast.Attribute(attr=name)])
                | ast.AugAssign(target=ast.Attribute(attr=name))
            ):
                yield name


@pytest.mark.parametrize("table", WRITERS)
def test_a_table_has_few_writers(table: str) -> None:
    found = {
        path.relative_to(FARM).as_posix()
        for path in SOURCES
        if table in changed_tables(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == WRITERS[table]


def test_the_scheduler_sets_no_count_and_only_the_writer_sets_a_state() -> None:
    of_jobs = COUNTS | {"state"}
    found = {
        (path.name, name)
        for path in SOURCES
        if path.parent.name == "scheduler"
        for name in of_jobs.intersection(set_columns(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == {("writer.py", "state")}


@pytest.mark.parametrize(
    "line",
    [
        "job_rows.put(connection, row, frames_failed=1)",
        'counts = {"frames_done": 1}',
        'also["frames_running"] = 2',
        "row.frames_done += 1",
        "writer.apply_to(connection, row, event, now, frames_running=3)",
    ],
)
def test_a_count_that_is_set_is_found(line: str) -> None:
    assert COUNTS & set(set_columns(ast.parse(line)))
