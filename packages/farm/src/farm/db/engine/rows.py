"""Rows as dataclasses: the names of their fields determine the columns."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Result

_Kind = TypeVar("_Kind")


def columns_of(
    kind: type[Any], known: Iterable[ColumnElement[Any]], prefix: str = ""
) -> tuple[Any, ...]:
    """Return the columns to select for a dataclass: one for each field, by name.

    Parameters:
        known: columns and labels; those without a field are omitted.
        prefix: of their names in the row, for several dataclasses in one row.

    Raises:
        KeyError: a field has no column.
    """
    by_name = {column.name: column for column in known}
    found = tuple(by_name[field.name] for field in fields(kind))
    return tuple(column.label(prefix + column.name) for column in found) if prefix else found


def reader(
    kind: type[_Kind], columns: tuple[str, ...], prefix: str = ""
) -> Callable[[Sequence[Any]], _Kind]:
    """Return what makes a dataclass of a row, each field by the name of its column.

    The names are looked up once, not for every row.

    Parameters:
        columns: names of the row's columns, in order.
        prefix: of those for this dataclass.

    Raises:
        KeyError: a field has no column, or two.
    """
    key: Any = kind
    values = _values(key, columns, prefix)
    return lambda row: kind(*values(row))


@cache
def _values(kind: Any, columns: tuple[str, ...], prefix: str) -> Callable[[Any], Any]:
    names = [prefix + field.name for field in fields(kind)]
    if wrong := [name for name in names if columns.count(name) != 1]:
        raise KeyError(wrong)
    return itemgetter(*map(columns.index, names))


def rows_as(kind: type[_Kind], found: Result[Any]) -> list[_Kind]:
    """Return all rows of a result as dataclasses; see `reader`."""
    return list(map(reader(kind, tuple(found.keys())), found))


def first_as(kind: type[_Kind], found: Result[Any]) -> _Kind | None:
    """Return the first row of a result as a dataclass, None when there is none."""
    rows = rows_as(kind, found)
    return rows[0] if rows else None


def values_of(row: Any) -> dict[str, Any]:
    """Return how a dataclass is stored: the values of its fields, unchanged, by column."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
