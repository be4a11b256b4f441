"""Alembic's entry point: runs on the connection that `Database.migrate` passes."""

from typing import Any

from alembic import context
from farm.db.tables import metadata

connection = context.config.attributes["connection"]


def _is_here(item: Any, *_: Any) -> bool:
    """Return whether this database should have it."""
    return bool(item.info.get("only", connection.dialect.name) == connection.dialect.name)


context.configure(
    connection=connection,
    include_object=_is_here,
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
