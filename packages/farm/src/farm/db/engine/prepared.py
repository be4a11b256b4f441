"""Statements executed so often that SQLAlchemy's own work per call dominates their cost.

They are written with SQLAlchemy like all others. But each is compiled once per database, and passed
to the driver with its values; SQLAlchemy still manages the connection and the transaction, and its
types still convert parameters and results. The driver's exceptions are passed on unchanged.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update
from sqlalchemy.types import TypeEngine

from farm.db.engine import pipeline

_Convert = Callable[[Any], Any] | None


@dataclass(slots=True)
class _Compiled:
    """A statement for one driver.

    Attributes:
        into: its parameters, by name, in the driver's order where that takes them by position.
        fixed: the statement's own constants.
        out: None before the first result, which shows how the driver returns values.
    """

    sql: str
    positional: bool
    into: Sequence[tuple[str, _Convert]]
    fixed: Mapping[str, Any]
    out: Sequence[_Convert] | None = None

    def values(self, given: Mapping[str, Any]) -> Any:
        """Return the driver's parameters."""
        known = {**self.fixed, **given} if self.fixed else given
        if self.positional:
            return [convert(known[name]) if convert else known[name] for name, convert in self.into]
        return {
            name: convert(known[name]) if convert else known[name] for name, convert in self.into
        }


class Prepared:
    """A statement that is compiled once for each database.

    Attributes:
        names: of the columns of its rows, in order.
    """

    def __init__(self, statement: Select[Any] | Insert | Update | Delete) -> None:
        """Nothing is compiled before its first use."""
        self._statement = statement
        self._columns = tuple(statement.exported_columns)
        self.names = tuple(column.name for column in self._columns)
        self._compiled: dict[tuple[str, tuple[str, ...]], _Compiled] = {}

    def rows(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """Execute it and return its rows; ``values`` are its parameters."""
        compiled = self._for(connection.dialect, values)
        if (pipelined := pipeline.of(connection)) is not None:
            pipelined.enter(connection)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(compiled.sql, compiled.values(values))
            found = cursor.fetchall()
            out = compiled.out = compiled.out or self._out(connection.dialect, cursor.description)
        finally:
            cursor.close()
        return [
            tuple([each if way is None else way(each) for way, each in zip(out, row, strict=True)])
            for row in found
        ]

    def one(self, connection: Connection, **values: Any) -> tuple[Any, ...] | None:
        """Execute it and return its first row, None when there is none."""
        found = self.rows(connection, **values)
        return found[0] if found else None

    def run(self, connection: Connection, **values: Any) -> None:
        """Execute it for its effect. Values that name no parameter set columns."""
        self.run_all(connection, [values])

    def run_all(self, connection: Connection, many: Sequence[Mapping[str, Any]]) -> None:
        """Execute it for each of these values, which all have the same names."""
        compiled = self._for(connection.dialect, many[0])
        if (pipelined := pipeline.of(connection)) is not None:
            pipelined.enter(connection)
        cursor = connection.connection.cursor()
        try:
            if pipelined is not None or len(many) == 1:
                for each in many:
                    cursor.execute(compiled.sql, compiled.values(each))
            else:
                cursor.executemany(compiled.sql, [compiled.values(each) for each in many])
        finally:
            cursor.close()

    def _for(self, dialect: Dialect, names: Iterable[str]) -> _Compiled:
        key = (dialect.name, tuple(names))
        if key not in self._compiled:
            self._compiled[key] = self._compile(dialect, key[1])
        return self._compiled[key]

    def _compile(self, dialect: Dialect, names: Sequence[str]) -> _Compiled:
        is_query = isinstance(self._statement, Select)
        made: Any = self._statement.compile(
            dialect=dialect, column_keys=None if is_query else list(names)
        )
        order: Sequence[str] | None = made.positiontup
        return _Compiled(
            sql=str(made),
            positional=order is not None,
            into=[
                (name, _into(made.binds[name].type, dialect))
                for name in (made.params if order is None else order)
            ],
            fixed={name: value for name, value in made.params.items() if name not in names},
        )

    def _out(self, dialect: Dialect, description: Sequence[Sequence[Any]]) -> list[_Convert]:
        return [
            column.type.dialect_impl(dialect).result_processor(dialect, described[1])
            for column, described in zip(self._columns, description, strict=True)
        ]


def _into(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    return kind.dialect_impl(dialect).bind_processor(dialect)
