"""Messages about what a scan skips: the first ones for the status, all of them for Envoy's log."""

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
        """Note one. A file name in it may consist of any bytes."""
        message = valid_text(message)
        self._count += 1
        if self._count <= MOST_LOGGED:
            log.warning("%s", message)
        if self._count <= MOST_TOLD:
            self._told.append(message)

    def extend(self, messages: Iterable[str]) -> None:
        """Note the messages of several skipped files."""
        for message in messages:
            self.add(message)

    @property
    def messages(self) -> list[str]:
        """The first messages, and the number of others."""
        more = self._count - len(self._told)
        if not more:
            return list(self._told)
        return [*self._told, f"{more} others were skipped as well; Envoy's log names them."]
