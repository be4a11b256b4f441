"""Rows that cannot be read: left out one by one, and named, so that they stop nothing else."""

MOST = 50
"""Messages kept; so many say enough."""


class Damage:
    """What of the journal cannot be read."""

    def __init__(self) -> None:
        self._messages: dict[tuple[str, str], str] = {}

    def note(self, what: str, key: object, error: Exception) -> None:
        """Remember that a row was left out.

        Parameters:
            what: what it is a row of, in a message: "submission".
            key: what it is found by.
        """
        if len(self._messages) < MOST:
            name = repr(str(key)[:80])
            reason = " ".join(str(error).split())[:120]
            self._messages[what, name] = (
                f"The {what} {name} of Envoy's journal is damaged ({reason}) and was left out."
            )

    @property
    def messages(self) -> list[str]:
        """What was left out so far, each once."""
        return list(self._messages.values())
