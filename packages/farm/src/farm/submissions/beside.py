"""Background work in one thread: accounts take turns, and none can pile up much."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

MOST_WAITING = 16
MOST_SIZE = 20_000_000
"""Limits of one account."""


@dataclass(frozen=True, slots=True)
class _Item:
    work: Callable[[], None]
    size: int


class Beside:
    """One thread for the work of all accounts. Callable from any thread."""

    def __init__(self, name: str) -> None:
        """Start nothing before the first work.

        Parameters:
            name: name of the thread.
        """
        self._name = name
        self._changed = threading.Condition()
        # Queued work by account, the next account first.
        self._waiting: OrderedDict[str, OrderedDict[Hashable, _Item]] = OrderedDict()
        self._started = False

    def soon(self, account_id: str, about: Hashable, size: int, work: Callable[[], None]) -> None:
        """Queue ``work``. If too much of the account is queued, its oldest is dropped.

        Parameters:
            about: queued work about the same thing is replaced.
            size: approximate characters held by the work.
        """
        with self._changed:
            mine = self._waiting.setdefault(account_id, OrderedDict())
            mine.pop(about, None)
            mine[about] = _Item(work, size)
            while len(mine) > 1 and (
                len(mine) > MOST_WAITING or sum(each.size for each in mine.values()) > MOST_SIZE
            ):
                mine.popitem(last=False)
            if not self._started:
                self._started = True
                # The farm must be able to end without waiting for it.
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            work = self._next()
            try:
                work()
            except Exception:
                logger.exception("a background task failed; the next one goes on")

    def _next(self) -> Callable[[], None]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            account_id, mine = self._waiting.popitem(last=False)
            _, item = mine.popitem(last=False)
            if mine:
                self._waiting[account_id] = mine  # Behind all others.
            return item.work
