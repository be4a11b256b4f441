"""What a scan leaves out, in messages: for the status, and in full for Envoy's log."""

import logging
from collections.abc import Iterable

from farm_protocol.text import valid_text

log = logging.getLogger(__name__)

MOST_TOLD = 50
MOST_LOGGED = 10_000


class Skipped:
    """Messages about files and folders that are not sent."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._count = 0

    def add(self, message: str) -> None:
        """Note one. A file that is named in it may have any bytes for a name."""
        message = valid_text(message)
        self._count += 1
        if self._count <= MOST_LOGGED:
            log.warning("%s", message)
        if self._count <= MOST_TOLD:
            self._told.append(message)

    def extend(self, messages: Iterable[str]) -> None:
        """Note the messages of several files that were left out."""
        for message in messages:
            self.add(message)

    @property
    def messages(self) -> list[str]:
        """The first of them, and how many others there are."""
        more = self._count - len(self._told)
        if not more:
            return list(self._told)
        return [*self._told, f"{more} others were skipped as well; Envoy's log names them."]
