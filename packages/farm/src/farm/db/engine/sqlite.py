"""What only SQLite needs: its settings, and transactions that announce that they will write."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    column,
    event,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert as insert  # Exported: it supports ON CONFLICT.
from sqlalchemy.types import TypeEngine

BUSY_TIMEOUT_MS = 30_000


def prepare(engine: Engine) -> None:
    """Set up every connection that the engine will make."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling is switched off; see begin() below.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL: data that a runner or Envoy was told is stored survives a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that starts by reading and then writes can fail half-way with "database
        # is locked"; one that will write says so at once.
        writes = connection.get_execution_options().get("farm_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def numbered(numbers: Sequence[int], position: int) -> Select[tuple[int, int]]:
    """Return a query for numbers and their positions, from ``position``, passed as one value."""
    each = func.json_each(json.dumps(list(numbers))).table_valued(
        column("value", Integer), column("key", Integer)
    )
    return select(each.c.value, each.c.key + position)


def given(name: str) -> ColumnElement[str]:
    """Return the texts passed as the parameter ``name``, by `texts`: a row for each."""
    each = func.json_each(bindparam(name, type_=Text)).table_valued(column("value", Text))
    return each.c.value


def among(text: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Return whether a text is one of those passed as the parameter ``name``, by `texts`."""
    return text.in_(select(given(name)))


def by_bytes(text: ColumnElement[str]) -> ColumnElement[str]:
    """Return the sort key by which texts are sorted by their bytes."""
    return text


def between(text: ColumnElement[str], after: Any, before: Any) -> ColumnElement[bool]:
    """Return whether a text comes after one and before another, by bytes."""
    return and_(text > after, text < before)


def beneath(path: ColumnElement[str], name: str, where: ColumnElement[bool]) -> Select[Any, Any]:
    """Return a query for the folders in the parameter ``name`` (by `texts`) that contain a path.

    It does one lookup per folder, however many paths there are.

    Parameters:
        path: a column; paths that begin with a folder and a slash are in that folder.
        where: which of its rows count.
    """
    folder = given(name)
    # A subquery: in a join SQLite may scan all paths first, and try all folders for each. "0" comes
    # after "/"; a range finds its rows by the index.
    inside = (
        select(path)
        .where(where, between(path, folder + "/", folder + "0"))
        .order_by(by_bytes(path))
        .limit(1)
        .scalar_subquery()
    )
    found = select(folder.label("folder"), inside.label("path")).subquery()
    return select(found).where(found.c.path.is_not(None))


def texts(values: Sequence[str]) -> str:
    """Return texts as one parameter of a statement."""
    return json.dumps(list(values))


def table(name: str, kinds: Sequence[type[TypeEngine[Any]]]) -> list[ColumnElement[Any]]:
    """Return the columns of the rows passed as the parameters of `rows`, by their types."""
    row = given(name)
    return [func.json_extract(row, f"$[{index}]", type_=kind) for index, kind in enumerate(kinds)]


def rows(name: str, values: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return rows as parameters of a statement for `table`."""
    return {name: json.dumps(values)}
