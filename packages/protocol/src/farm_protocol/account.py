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
    """Return the form in which an address names an account: NFKC, no spaces around, A-Z as a-z.

    What looks the same is the same: composed letters and decomposed ones, full-width ones and
    ligatures. No letters but A-Z lose their case. Unicode's rules for that make one address of two
    that belong to two people: "ß" would become "ss".
    """
    # A small letter may be one with the mark behind it where there is no such capital.
    return normalize("NFKC", spelled_email(normalize("NFKC", email)))


def spelled_email(email: str) -> str:
    """Return an address as it is spelled, without spaces around and A-Z as a-z."""
    return email.strip().translate(_LOWER)


class LoginRequest(Request):
    """``POST /v1/login``: a password or an access key, whichever the user has.

    Attributes:
        label: what the new access key is for, shown to the user ("Envoy on studio-12"). A login
            by password replaces the earlier key with the same label.
        device: what an earlier login by password was answered with: this device is no stranger,
            and others' guesses do not make it wait. "": none.
    """

    email: Line = Field(max_length=320)
    secret: str = Field(max_length=1024, repr=False)
    label: Line = Field(default="", max_length=200)
    device: Line = Field(default="", max_length=100, repr=False)


class LoginAnswer(Answer):
    """``access_key`` goes into ``Authorization: Bearer`` of all other calls.

    Attributes:
        device: for the next login by password; "": the one that was sent, if any, is still good.
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
        max_throughput: most instances over all of the user's jobs.
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
        credits: exactly, written as a text; negative: taken from the account.
        reference: unique.
    """

    id: Int64
    kind: str
    credits: Decimal
    reference: str
    reason: str
    created_at: datetime


class CreditHistory(Answer):
    """``GET /v1/me/credits``: newest first. ``more``: ask again, before the last one's id."""

    movements: list[CreditMovement]
    more: bool
