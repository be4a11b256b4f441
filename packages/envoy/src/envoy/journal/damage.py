"""Rows that cannot be read: skipped one by one, and named, so that they block nothing else."""

from farm_protocol.faults import first_fault
from pydantic import ValidationError

MOST = 50
"""Messages kept; more would say nothing new."""


class Damage:
    """The parts of the journal that cannot be read."""

    def __init__(self) -> None:
        self._messages: dict[tuple[str, str], str] = {}

    def note(self, what: str, key: object, error: Exception) -> None:
        """Remember that a row was skipped.

        Parameters:
            what: what the row describes, for a message: "submission".
            key: its key.
        """
        if len(self._messages) < MOST:
            name = repr(str(key)[:80])
            told = first_fault(error) if isinstance(error, ValidationError) else str(error)
            reason = " ".join(told.split()).rstrip(".")[:120]
            self._messages[what, name] = (
                f"The {what} {name} of Envoy's journal is damaged ({reason}) and was left out."
            )

    @property
    def messages(self) -> list[str]:
        """What was skipped so far, each once."""
        return list(self._messages.values())
