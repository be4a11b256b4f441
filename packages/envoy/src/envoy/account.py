"""The account that this Envoy works for: signing in, and remembering it.

On disk: ``account.json`` in the data folder, ``{"email", "access_key"}``, mode 0600. It holds an
access key that the farm issued for this Envoy, never the password.
"""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

from farm_protocol.account import LoginAnswer, LoginRequest
from pydantic import ValidationError

from envoy.errors import NotSignedInError
from envoy.farm_client import FarmClient


class Account:
    """Who is signed in.

    Parameters:
        path: where to remember it.
        changed: called after each successful sign-in.
    """

    def __init__(self, path: Path, farm: FarmClient, changed: Callable[[], None]) -> None:
        self._path = path
        self._farm = farm
        self._changed = changed

    @property
    def email(self) -> str:
        """The signed-in account, or ""."""
        return self._farm.account

    def required(self) -> str:
        """Return the signed-in account.

        Raises:
            NotSignedInError: there is none.
        """
        if not self.email:
            raise NotSignedInError
        return self.email

    def load(self) -> None:
        """Sign in as remembered, without asking the farm."""
        try:
            stored = LoginAnswer.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return
        self._farm.act_for(stored.email, stored.access_key)

    async def sign_in(self, email: str, secret: str) -> str:
        """Verify with the farm and remember; returns the account's e-mail address.

        Parameters:
            secret: the password, or an access key.

        Raises:
            FarmAnswerError: 401 when the farm does not accept them.
        """
        label = f"Envoy on {socket.gethostname()}"[:200]
        request = LoginRequest(email=email, secret=secret, label=label)
        answer = await self._farm.login(request)
        self._store(answer)
        self._farm.act_for(answer.email, answer.access_key)
        self._changed()
        return answer.email

    def _store(self, answer: LoginAnswer) -> None:
        content = json.dumps({"email": answer.email, "access_key": answer.access_key})
        temporary = self._path.with_name(f".{self._path.name}.new")
        temporary.unlink(missing_ok=True)
        # Created unreadable for others: chmod afterwards would leave a moment in between.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
