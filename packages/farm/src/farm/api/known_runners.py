"""Which account's runner calls, without a look at the database."""

import threading
from collections import OrderedDict

MOST = 10_000
"""Runners that are remembered: those that have called last."""


class KnownRunners:
    """The accounts of runners' tokens, which never change; whether a token is still valid may."""

    def __init__(self) -> None:
        """Start without any runner."""
        self._guard = threading.Lock()
        self._accounts: OrderedDict[str, str] = OrderedDict()

    def account_of(self, token_hash: str) -> str | None:
        """Return the account of a runner that has called before; None for others."""
        with self._guard:
            if token_hash in self._accounts:
                self._accounts.move_to_end(token_hash)
            return self._accounts.get(token_hash)

    def forget(self, token_hash: str) -> None:
        """Forget a runner whose token is no longer valid."""
        with self._guard:
            self._accounts.pop(token_hash, None)

    def add(self, token_hash: str, account_id: str) -> None:
        """Remember a runner, whose token was valid."""
        with self._guard:
            self._accounts[token_hash] = account_id
            if len(self._accounts) > MOST:
                self._accounts.popitem(last=False)
