"""SQL that differs between SQLite and PostgreSQL, by the name of the dialect.

Both modules have the same functions; a prepared statement is prepared for each of them.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from farm.db.engine import postgres, sqlite
from farm.db.engine.prepared import Prepared

DIALECTS: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgres}


def dialect_of(connection: Connection) -> Any:
    """Return the module for a connection's database."""
    return DIALECTS[connection.dialect.name]


class PreparedForEach:
    """A statement that differs between the databases."""

    def __init__(self, made: Callable[[Any], Prepared]) -> None:
        """Prepare it; ``made`` builds it from a module."""
        self._of = {name: made(dialect) for name, dialect in DIALECTS.items()}

    def on(self, connection: Connection) -> Prepared:
        """Return it for a connection's database."""
        return self._of[connection.dialect.name]
