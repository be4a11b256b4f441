"""How an Envoy and the farm of its own data folder recognise each other.

A farm writes a secret into ``farm.json``, which only its own user can read. Envoy reads it there,
and asks the program at the farm's address to prove that it knows it, too; the farm answers only
callers that have proved it first. The secret itself is never sent:

    Envoy to farm    a number used once, and a keyed hash over it for the caller
    farm to Envoy    a keyed hash over the same number for the farm

Both hashes also cover the farm's address: a program on another port, which Envoy calls by mistake,
could otherwise relay the question to the real farm and the answer back. And they cover its folder:
a copy of the folder has the same secret.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from farm_protocol.models import Answer, Request

_HEX = r"^[0-9a-f]{64}$"


class ProofRequest(Request):
    """``POST /v1/proof``. ``proof``: of `Identity.callers_proof`."""

    nonce: str = Field(pattern=_HEX)
    proof: str = Field(pattern=_HEX)


class ProofAnswer(Answer):
    """``proof``: of `Identity.farms_proof`."""

    proof: str = Field(pattern=_HEX)


def new_secret() -> str:
    """Return a secret, or a nonce: 256 random bits."""
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Identity:
    """What both ends know about a farm: its address, its data folder, and the secret."""

    url: str
    folder: Path
    secret: str = field(default_factory=new_secret, repr=False)

    def callers_proof(self, nonce: str) -> str:
        """Return the proof for this farm that its caller knows the secret."""
        return self._keyed("caller", nonce)

    def farms_proof(self, nonce: str) -> str:
        """Return the proof for a caller that it has reached this farm."""
        return self._keyed("farm", nonce)

    def _keyed(self, who: str, nonce: str) -> str:
        text = "\n".join((who, nonce, self.url, os.path.realpath(self.folder)))
        digest = hmac.new(self.secret.encode(), text.encode(errors="replace"), hashlib.sha256)
        return digest.hexdigest()


def same(one: str, other: str) -> bool:
    """Compare two proofs in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
