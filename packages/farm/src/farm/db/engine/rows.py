"""Rows as dataclasses: which columns these are of follows from the names of their fields."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement


def columns_of(kind: type[Any], known: Iterable[ColumnElement[Any]]) -> tuple[Any, ...]:
    """Return the columns to select for a dataclass: one for each field, by its name.

    Their values, in this order, are what it is made of: ``kind(*row)``.

    Parameters:
        known: columns and labels; those that no field is named after are left out.

    Raises:
        KeyError: a field is named after none of them.
    """
    by_name = {column.name: column for column in known}
    return tuple(by_name[field.name] for field in fields(kind))


def values_of(row: Any) -> dict[str, Any]:
    """Return what a dataclass is stored as: the values of its fields, by column, as they are."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
