"""What is said to SQLite and PostgreSQL in different words, by the name of the dialect.

Both modules offer the same functions; a statement that is prepared once is prepared for each.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from farm.db.engine import postgres, sqlite
from farm.db.engine.prepared import Prepared

DIALECTS: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgres}


def dialect_of(connection: Connection) -> Any:
    """Return the module with the words of a connection's database."""
    return DIALECTS[connection.dialect.name]


class PreparedForEach:
    """A statement that differs between the databases."""

    def __init__(self, made: Callable[[Any], Prepared]) -> None:
        """Prepare it; ``made`` returns it in the words of a module."""
        self._of = {name: made(dialect) for name, dialect in DIALECTS.items()}

    def on(self, connection: Connection) -> Prepared:
        """Return it as a connection's database understands it."""
        return self._of[connection.dialect.name]
