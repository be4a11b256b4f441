"""How many runners a machine type has room for, if that was changed while the farm runs."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from farm.db.tables import machine_slots


def slots(connection: Connection, configured: Mapping[str, int]) -> dict[str, int]:
    """Return the slots by machine type.

    Parameters:
        configured: all machine types, with the slots of unchanged ones.
    """
    found = connection.execute(select(machine_slots.c.machine_type, machine_slots.c.slots))
    changed = {name: count for name, count in found if name in configured}
    return {**configured, **changed}


def set_slots(connection: Connection, machine_type: str, count: int | None) -> None:
    """Change the slots of a machine type; None: reset to the settings."""
    connection.execute(delete(machine_slots).where(machine_slots.c.machine_type == machine_type))
    if count is not None:
        connection.execute(insert(machine_slots).values(machine_type=machine_type, slots=count))
