"""Slows down whoever guesses passwords, by account and by address.

The first failures cost nothing, since people mistype. Each further one doubles the time in which
no password is looked at. Access keys are not held up: nobody guesses 256 random bits, and so no
stranger can lock a user out of what is signed in already. Kept in memory: a restart forgets.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from farm.errors import TooManyAttemptsError

FREE = {"account": 5, "address": 20}
"""Failures in a row without a pause. Several users may share an address."""

FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 300.0
FORGET_SECONDS = 3600.0
"""After so long without a failure, counting begins anew."""
MOST_KNOWN = 10_000
"""Of accounts and addresses that are remembered, so that guessing cannot fill the memory."""


class Attempts:
    """Failed logins in a row."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, account: str, address: str) -> None:
        """A password is about to be looked at. Counts as a failure until it has `succeeded`.

        Counted beforehand, so that many guesses at once are no way around.

        Raises:
            TooManyAttemptsError: the account or the address has to wait.
        """
        with self._lock:
            wait = max(self._wait("account", account), self._wait("address", address))
            if wait > 0:
                raise TooManyAttemptsError(int(wait) + 1)
            for who in (("account", account), ("address", address)):
                failures, _ = self._known(who)
                self._failures[who] = (failures + 1, self._clock())
                self._failures.move_to_end(who)
            while len(self._failures) > MOST_KNOWN:
                self._failures.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """The password was right. Its address may still be guessing at others."""
        with self._lock:
            self._failures.pop(("account", account), None)
            failures, at = self._known(("address", address))
            if failures:
                self._failures["address", address] = (failures - 1, at)

    def _known(self, who: tuple[str, str]) -> tuple[int, float]:
        failures, at = self._failures.get(who, (0, 0.0))
        return (0, 0.0) if self._clock() - at > FORGET_SECONDS else (failures, at)

    def _wait(self, kind: str, name: str) -> float:
        failures, at = self._known((kind, name))
        over = failures - FREE[kind]
        if over < 0:
            return 0.0
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(over, 30))
        return at + pause - self._clock()
