"""Slows down guessing of passwords, without affecting others.

The first failures cost nothing, since people mistype. Each further one doubles the time in which no
password is checked. The budget depends on the caller:

    a device    that knew the password before, as its token proves, has a budget of its own
    an address  from which the account signed in before has one for that account
    a stranger  shares the account's budget with all other strangers, and the address's

So guessing does not lock out those who know the password: it uses up the strangers' budget, and the
owner is not a stranger. Only a first sign-in from a new device at a new address must wait until the
guessing is over, or use an access key. Access keys never wait: nobody guesses 256 random bits. Kept
in memory: a restart forgets.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from farm_protocol.backoff import BackOff

from farm.errors import TooManyAttemptsError

FREE = {"device": 5, "home": 5, "account": 5, "address": 20}
"""Consecutive failures without a pause. Several users may share an address."""

PAUSES = BackOff(2.0, 300.0)
"""Pause after the first failure that is not free."""
FORGET_SECONDS = 3600.0
"""After so long without a failure, the count starts over."""
MOST_KNOWN = 10_000
"""Limit on remembered failures, and on known addresses, so that nobody can fill the memory."""

Budget = tuple[str, ...]
"""Its kind, which is a key of `FREE`, and its owner."""


class Attempts:
    """Consecutive failed logins."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no failed logins."""
        self._clock = clock
        self._failures: OrderedDict[Budget, tuple[int, float]] = OrderedDict()
        # Separate from the failures: strangers cannot displace them.
        self._homes: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def is_home(self, account: str, address: str) -> bool:
        """Return whether the account has signed in with its password from there before."""
        return (account, address) in self._homes

    def begin(self, account: str, address: str, device: str = "") -> list[Budget]:
        """A password is about to be checked. Counts as a failure until it has `succeeded`.

        Counted beforehand, so that concurrent guesses cannot evade the limit. Returns the budgets
        on which it was counted.

        Parameters:
            device: of the account, proven by its token; "": none, or not proven.

        Raises:
            TooManyAttemptsError: the caller has to wait.
        """
        with self._lock:
            budgets = self._budgets(account, address, device)
            wait = max(self._wait(each) for each in budgets)
            if wait > 0:
                raise TooManyAttemptsError(int(wait) + 1)
            for each in budgets:
                failures, _ = self._known(each)
                self._failures[each] = (failures + 1, self._clock())
                self._failures.move_to_end(each)
            while len(self._failures) > MOST_KNOWN:
                self._failures.popitem(last=False)
            return budgets

    def succeeded(self, account: str, address: str, counted: list[Budget]) -> None:
        """The password was right.

        Parameters:
            counted: what `begin` has returned.
        """
        with self._lock:
            for each in counted:
                if each[0] == "address":  # It may still be guessing at other accounts.
                    failures, at = self._known(each)
                    if failures:
                        self._failures[each] = (failures - 1, at)
                else:
                    self._failures.pop(each, None)
            self._homes[account, address] = None
            self._homes.move_to_end((account, address))
            while len(self._homes) > MOST_KNOWN:
                self._homes.popitem(last=False)

    def _budgets(self, account: str, address: str, device: str) -> list[Budget]:
        if device:
            return [("device", account, device)]
        if self.is_home(account, address):
            return [("home", account, address)]
        return [("account", account), ("address", address)]

    def _known(self, whose: Budget) -> tuple[int, float]:
        failures, at = self._failures.get(whose, (0, 0.0))
        return (0, 0.0) if self._clock() - at > FORGET_SECONDS else (failures, at)

    def _wait(self, whose: Budget) -> float:
        failures, at = self._known(whose)
        over = failures - FREE[whose[0]]
        if over < 0:
            return 0.0
        pause = PAUSES.after(over + 1)
        return at + pause - self._clock()
