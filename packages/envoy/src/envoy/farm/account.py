"""The account that this Envoy works for: signing in, and remembering it.

On disk: ``account.json`` in the data folder, mode 0600: ``{"farms": {farm: {"email",
"access_key"}}}``. It has the access keys that farms issued for this Envoy, never a password, each
under the farm that issued it: a key is sent to no other. A remote farm is identified by its
address, the embedded one as ``embedded``, since it has proved to be ours whatever its address is.
"""

import json
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from farm_protocol.account import LoginAnswer, LoginRequest
from farm_protocol.faults import fault_text
from farm_protocol.private import read_regular, replace_private
from pydantic import ValidationError

from envoy.errors import InvalidRequestError, NotSignedInError
from envoy.farm.calls import EMBEDDED
from envoy.farm.client import FarmClient
from envoy.farm.devices import Devices

log = logging.getLogger(__name__)


class Account:
    """Who is signed in.

    Parameters:
        path: where to remember it.
        devices: tokens that prove to the farm that this Envoy is known.
        changed: called, and awaited, after each successful sign-in.
    """

    def __init__(
        self, path: Path, farm: FarmClient, devices: Devices, changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._path = path
        self._devices = devices
        self._farm = farm
        self._changed = changed

    @property
    def email(self) -> str:
        """The signed-in account, or ""."""
        return self._farm.account

    def required(self) -> str:
        """Return the signed-in account.

        Raises:
            NotSignedInError: nobody is signed in.
        """
        if not self.email:
            raise NotSignedInError
        return self.email

    def load(self) -> None:
        """Sign in as remembered for this farm, without asking it."""
        stored = self._stored().get(self._farm.identity)
        if stored is not None:
            self._farm.act_for(stored.email, stored.access_key)

    def _stored(self) -> dict[str, LoginAnswer]:
        """Return the remembered accounts, by farm; malformed ones are skipped."""
        try:
            content = json.loads(read_regular(self._path))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning(
                "The file %s cannot be read (%s), so nobody is signed in. Sign in again.",
                self._path,
                error,
            )
            return {}
        if not isinstance(content, dict):
            return {}
        farms = content.get("farms")
        if farms is None:
            # From an Envoy that did not record whose key it is. Our own farm may see any key.
            farms = {EMBEDDED: content}
        found: dict[str, LoginAnswer] = {}
        for farm, answer in farms.items() if isinstance(farms, dict) else ():
            with suppress(ValidationError):
                found[farm] = LoginAnswer.model_validate(answer)
        return found

    async def sign_in(self, email: str, secret: str) -> str:
        """Verify with the farm and remember; returns the account's e-mail address.

        Parameters:
            secret: the password, or an access key.

        Raises:
            InvalidRequestError: the address or the secret is malformed.
            FarmAnswerError: 401 when the farm does not accept them.
        """
        label = f"Envoy on {socket.gethostname()}"[:200]
        device = self._devices.token(email, secret)
        try:
            request = LoginRequest(email=email, secret=secret, label=label, device=device)
        except ValidationError as error:
            fault = error.errors()[0]
            field = {"email": "Username", "secret": "AccessKey"}.get(str(fault["loc"][0]), "label")
            raise InvalidRequestError.of(field, fault_text(fault)) from error
        answer = await self._farm.login(request)
        self._devices.keep(email, secret, answer.device)
        self._store(answer)
        self._farm.act_for(answer.email, answer.access_key)
        await self._changed()
        return answer.email

    def _store(self, answer: LoginAnswer) -> None:
        farms = self._stored() | {self._farm.identity: answer}
        shown = {
            farm: each.model_dump(include={"email", "access_key"}) for farm, each in farms.items()
        }
        replace_private(self._path, json.dumps({"farms": shown}).encode())
