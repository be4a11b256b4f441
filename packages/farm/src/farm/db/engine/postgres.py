"""What only PostgreSQL needs: one writer at a time, and texts as SQLite accepts them.

PostgreSQL gives out ids before it commits, so two writers could commit in another order than
that of their ids; a reader of the change feed that saw the later id first would never see the
earlier one. And what one writer has read, another could change before the first has written. Both
are impossible while there is one writer at a time, which here is an advisory lock: taken first
thing in a writing transaction, given back by PostgreSQL after the commit has become visible.
Writers then run at READ COMMITTED on purpose: a snapshot that was taken before the lock was
granted would not show what the last writer has done.
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    URL,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Select,
    Text,
    UnaryExpression,
    and_,
    bindparam,
    cast,
    column,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert as insert  # Exported: it supports ON CONFLICT.
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.types import TypeEngine

from farm.db.engine import pipeline

READING = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""Options of a reading connection: all its statements see one state, as in SQLite."""


def writing() -> dict[str, Any]:
    """Return options for a connection that is about to write."""
    return {pipeline.OPTION: pipeline.Pipeline()}


OWN_SECONDS = 5.0
"""How long `own` retries: the server needs a moment to notice that a killed farm is gone."""

# Two numbers that nobody else is likely to use for advisory locks in this database.
_WRITER = 0x_FA_12_31_01
_OWNER = 0x_FA_12_31_02


def with_driver(url: URL) -> URL:
    """Return ``postgresql://...`` with the driver that the farm uses."""
    return url.set(drivername="postgresql+psycopg")


def prepare(engine: Engine) -> None:
    """Set up every connection that the engine will make."""
    from psycopg.types.string import StrDumper

    class TextDumper(StrDumper):
        """PostgreSQL texts cannot contain NUL; it becomes a replacement character."""

        def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.adapters.register_dumper(str, TextDumper)
        # Like SQLite's busy timeout: waiting for the writer ends with an error.
        connection.execute("SET lock_timeout = '30s'")
        connection.commit()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("farm_writes", False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER})")

    pipeline.prepare(engine)


def own(engine: Engine) -> Connection | None:
    """Return a connection that keeps other farms off the database while it is open.

    None: another farm works on this database.
    """
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    until = time.monotonic() + OWN_SECONDS
    with contextlib.ExitStack() as otherwise:
        otherwise.callback(connection.close)
        while True:
            asked = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_OWNER})")
            if asked.scalar_one():
                otherwise.pop_all()
                return connection
            if time.monotonic() > until:
                return None
            time.sleep(0.05)


def is_alive(owner: Connection) -> bool:
    """Return whether the connection of `own` still keeps others off: it does while it is open."""
    try:
        owner.exec_driver_sql("SELECT 1")
    except DBAPIError:
        owner.invalidate()
        return False
    return True


def numbered(numbers: Sequence[int], position: int) -> Select[tuple[int, int]]:
    """Return a query for numbers and their positions, from ``position``, passed as one value."""
    each = (
        func.unnest(cast(list(numbers), ARRAY(Integer)))
        .table_valued(column("number", Integer), with_ordinality="position")
        .render_derived()
    )
    return select(each.c.number, cast(each.c.position + (position - 1), Integer))


def given(name: str) -> ColumnElement[str]:
    """Return the texts passed as the parameter ``name``, by `texts`: a row for each."""
    each = func.unnest(bindparam(name, type_=ARRAY(Text))).column_valued(name)
    return cast(each, Text)


def among(text: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Return whether a text is one of those passed as the parameter ``name``, by `texts`."""
    return text == func.any(bindparam(name, type_=ARRAY(Text)))


def by_bytes(text: ColumnElement[str]) -> ColumnElement[str]:
    """Return the sort key by which texts are sorted by their bytes, in any locale.

    An index of ``text_pattern_ops`` has that order.
    """
    return UnaryExpression(text, modifier=custom_op("USING ~<~"))


def between(text: ColumnElement[str], after: Any, before: Any) -> ColumnElement[bool]:
    """Return whether a text comes after one and before another, by bytes."""
    return and_(
        text.bool_op("~>~", precedence=10)(after), text.bool_op("~<~", precedence=10)(before)
    )


def beneath(path: ColumnElement[str], name: str, where: ColumnElement[bool]) -> Select[Any, Any]:
    """Return a query for the folders in the parameter ``name`` (by `texts`) that contain a path.

    It does one lookup per folder, however many paths there are.

    Parameters:
        path: a column with an index of ``text_pattern_ops``, which sorts by bytes in any locale;
            paths that begin with a folder and a slash are in that folder.
        where: which of its rows count: those that are adjacent in the index.
    """
    folder = given(name)
    # "0" comes after "/"; a range finds its rows by the index. Only this index has that order, so
    # that no estimate leads to a scan of all rows.
    inside = (
        select(path)
        .where(where, between(path, folder + "/", folder + "0"))
        .order_by(by_bytes(path))
        .limit(1)
        .scalar_subquery()
    )
    found = select(folder.label("folder"), inside.label("path")).subquery()
    return select(found).where(found.c.path.is_not(None))


def texts(values: Sequence[str]) -> list[str]:
    """Return texts as one parameter of a statement."""
    return list(values)


def table(name: str, kinds: Sequence[type[TypeEngine[Any]]]) -> list[ColumnElement[Any]]:
    """Return the columns of the rows passed as the parameters of `rows`, by their types."""
    columns = [column(f"{name}_{index}", kind) for index, kind in enumerate(kinds)]
    values = [bindparam(each.name, type_=ARRAY(each.type)) for each in columns]
    return list(func.unnest(*values).table_valued(*columns, name=name).render_derived().c)


def rows(name: str, values: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return rows as parameters of a statement for `table`."""
    columns = zip(*values, strict=True)
    return {f"{name}_{index}": list(each) for index, each in enumerate(columns)}
