"""Rows as dataclasses: the names of their fields determine the columns."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement


def columns_of(kind: type[Any], known: Iterable[ColumnElement[Any]]) -> tuple[Any, ...]:
    """Return the columns to select for a dataclass: one for each field, by name.

    Their values, in this order, are its arguments: ``kind(*row)``.

    Parameters:
        known: columns and labels; those without a field are omitted.

    Raises:
        KeyError: a field has no column.
    """
    by_name = {column.name: column for column in known}
    return tuple(by_name[field.name] for field in fields(kind))


def values_of(row: Any) -> dict[str, Any]:
    """Return how a dataclass is stored: the values of its fields, unchanged, by column."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
