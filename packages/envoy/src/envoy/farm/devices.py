"""Proofs that somebody at this Envoy has known an account's password, for each farm.

A farm under attack by password guessing makes strangers wait. After a login by password it issues a
token, which later proves that this device is known. But anyone who may talk to Envoy may guess
through it, and must not use up the owner's attempts: so the token is stored masked by the password.
The right password restores the token; a wrong one yields bytes that mean nothing to the farm, which
then sees a stranger. The tokens look random to everybody but the farm, so the file does not reveal
which password is right.

On disk: ``devices.json`` in the data folder, mode 0600, the newest last::

    [{"farm": "http://...", "email": "ann@example.com", "salt": <hex>, "masked": <hex>}, ...]
"""

import json
import logging
import secrets
from hashlib import blake2b
from pathlib import Path

from farm_protocol.account import canonical_email
from farm_protocol.private import read_regular, replace_private
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

log = logging.getLogger(__name__)

MOST = 50
"""Accounts and farms; the oldest is dropped."""

_TOKEN_BYTES, _SALT_BYTES = 32, 16


class _Kept(BaseModel):
    farm: str
    email: str
    salt: str = Field(pattern=rf"^[0-9a-f]{{{2 * _SALT_BYTES}}}$")
    masked: str = Field(pattern=rf"^[0-9a-f]{{{2 * _TOKEN_BYTES}}}$")


_ALL = TypeAdapter(list[_Kept])


class Devices:
    """The tokens of one farm, in a file shared with other farms.

    Parameters:
        farm: `FarmClient.identity`: its address, or that it is the embedded one.
    """

    def __init__(self, path: Path, farm: str) -> None:
        self._path = path
        self._farm = farm

    def token(self, email: str, password: str) -> str:
        """Return the token; a wrong one for a wrong password, "" when there is none."""
        for each in self._read():
            if self._is_of(each, email):
                mask = _mask(password, bytes.fromhex(each.salt))
                return _xor(bytes.fromhex(each.masked), mask).hex()
        return ""

    def keep(self, email: str, password: str, token: str) -> None:
        """Remember a token, replacing an older one.

        An empty one changes nothing: a farm issues none when the one that it got is still valid.
        Failing to write the file is not an error: it is only a convenience.
        """
        try:
            plain = bytes.fromhex(token)
        except ValueError:
            plain = b""
        if len(plain) != _TOKEN_BYTES:
            return
        salt = secrets.token_bytes(_SALT_BYTES)
        masked = _xor(plain, _mask(password, salt))
        name = canonical_email(email)
        mine = _Kept(farm=self._farm, email=name, salt=salt.hex(), masked=masked.hex())
        others = [each for each in self._read() if not self._is_of(each, email)]
        try:
            self._write([*others, mine][-MOST:])
        except OSError as error:
            log.warning("%s cannot be written (%s)", self._path, error.strerror)

    def _is_of(self, kept: _Kept, email: str) -> bool:
        return (kept.farm, kept.email) == (self._farm, canonical_email(email))

    def _read(self) -> list[_Kept]:
        try:
            return _ALL.validate_json(read_regular(self._path))
        except (OSError, ValidationError):
            return []

    def _write(self, kept: list[_Kept]) -> None:
        replace_private(self._path, json.dumps([each.model_dump() for each in kept]).encode())


def _mask(password: str, salt: bytes) -> bytes:
    return blake2b(
        password.encode("utf-8", "surrogatepass"), digest_size=_TOKEN_BYTES, key=salt
    ).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
