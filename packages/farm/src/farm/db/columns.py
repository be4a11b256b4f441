"""Column types that are the same on both databases."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Integer, String, Text, TypeDecorator


class Utc(TypeDecorator[datetime]):
    """A moment in UTC. SQLite drops time zones, so they are removed and restored here."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Store without an offset; refuse a moment whose offset is unknown."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return an aware datetime."""
        return None if value is None else value.replace(tzinfo=UTC)


ID = String(32)
HASH = String(64)
# SQLite autoincrements only a column that is exactly INTEGER.
SERIAL = BigInteger().with_variant(Integer, "sqlite")


def text_column(name: str, length: int | None = None) -> Column[str]:
    """Return a text column with a maximum length in characters; None: unlimited."""
    return Column(name, String(length) if length else Text, nullable=False)
