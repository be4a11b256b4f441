"""Accounts: login and the documented user information."""

import string
from datetime import datetime
from decimal import Decimal
from unicodedata import normalize

from pydantic import Field

from farm_protocol.models import Answer, Int64, Request
from farm_protocol.text import Line

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def canonical_email(email: str) -> str:
    """Return the canonical form of an address: NFKC, no spaces around, A-Z as a-z.

    Addresses that look the same are the same: composed and decomposed letters, full-width ones and
    ligatures. Only A-Z lose their case. Unicode's case folding would merge two people's addresses:
    "ß" would become "ss".
    """
    # NFKC may compose a small letter with the mark behind it where no such capital exists.
    return normalize("NFKC", spelled_email(normalize("NFKC", email)))


def spelled_email(email: str) -> str:
    """Return an address as spelled, without spaces around and A-Z as a-z."""
    return email.strip().translate(_LOWER)


class LoginRequest(Request):
    """``POST /v1/login``: a password or an access key, whichever the user has.

    Attributes:
        label: what the new access key is for, shown to the user ("Envoy on studio-12"). A login
            by password replaces the earlier key with the same label.
        device: the answer to an earlier login by password: this device is known, and others'
            guesses do not make it wait. "": none.
    """

    email: Line = Field(max_length=320)
    secret: str = Field(max_length=1024, repr=False)
    label: Line = Field(default="", max_length=200)
    device: Line = Field(default="", max_length=100, repr=False)


class LoginAnswer(Answer):
    """``access_key`` goes into ``Authorization: Bearer`` of all other calls.

    Attributes:
        device: for the next login by password; "": the one that was sent, if any, is still valid.
    """

    email: Line = Field(max_length=320)
    access_key: str = Field(max_length=1024, pattern=r"^[!-~]([ -~]*[!-~])?$", repr=False)
    device: str = Field(default="", max_length=100, repr=False)


class UserInfo(Answer):
    """``GET /v1/me``: the fields that the published client documents for `get_user_info`.

    Attributes:
        created: UTC, written without an offset, as published.
        credits_available, credits_consumed: credits.
        job_throughput_limit: most instances of one job.
        max_throughput: most instances of all of the user's jobs together.
    """

    created: datetime
    credits_available: float
    credits_consumed: float
    email_address: str
    job_throughput_limit: Int64
    max_throughput: Int64
    name: str
    service_plan: str


class CreditMovement(Answer):
    """One transaction of the user's credits.

    Attributes:
        kind: "grant" (moved by an administrator), "usage" (machine time) or "refund" (of machine
            time on a machine that fails).
        credits: exact, as text; negative: taken from the account.
        reference: unique.
    """

    id: Int64
    kind: str
    credits: Decimal
    reference: str
    reason: str
    created_at: datetime


class CreditHistory(Answer):
    """``GET /v1/me/credits``: newest first. ``more``: ask again with the last one's id as
    ``before``.
    """

    movements: list[CreditMovement]
    more: bool
