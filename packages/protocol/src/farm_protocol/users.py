"""Administration: users, their plans and credits. Only for accounts whose role is ``admin``."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import Field

from farm_protocol.models import Amount, Answer, Request
from farm_protocol.text import Line


class Role(StrEnum):
    """What an account may do: only its own work, or also everything under ``/v1/users``."""

    ARTIST = "artist"
    ADMIN = "admin"


class Plan(Answer):
    """A service plan.

    Attributes:
        job_throughput_limit: most instances of one job.
        max_throughput: most instances of all of a user's jobs together.
        max_stored, max_in_flight: most bytes that a user may store, and may have in transit; 0: no
            number is set.
        users: number of accounts that have it.
    """

    name: str
    job_throughput_limit: int
    max_throughput: int
    max_stored: int = 0
    max_in_flight: int = 0
    users: int = 0


class PlanList(Answer):
    """``GET /v1/plans``: by name."""

    plans: list[Plan]


class PlanLimits(Request):
    """``PUT /v1/plans/{name}``: creates or changes a plan, at once and also for running jobs.

    Attributes:
        max_stored, max_in_flight: bytes; 0: no number is set, None: unchanged.
    """

    job_throughput_limit: int
    max_throughput: int
    max_stored: int | None = None
    max_in_flight: int | None = None


class User(Answer):
    """An account.

    Attributes:
        machine_cpu, machine_gpu: its default machine types, by id; "": the farm's own.
        has_password: whether it can log in with one.
        keys: labels of its access keys, oldest first.
        available, consumed: credits up to now, exact, as text.
        stored_bytes: of its projects, submissions and results on the farm.
    """

    email: str
    name: str
    plan: str
    role: Role
    active: bool
    email_notices: bool
    machine_cpu: str = ""
    machine_gpu: str = ""
    has_password: bool
    keys: list[str]
    available: Decimal
    consumed: Decimal
    stored_bytes: int = 0
    created_at: datetime


class UserList(Answer):
    """``GET /v1/users``: by email."""

    users: list[User]


class NewUser(Request):
    """``POST /v1/users``. Without a password the user signs in with the access key."""

    email: Line = Field(max_length=1000)
    password: str | None = Field(default=None, max_length=10_000, repr=False)
    credits: Amount = Decimal(0)
    plan: Line | None = Field(default=None, max_length=200)
    role: Role = Role.ARTIST


class UserWithKey(Answer):
    """A user, and an access key that is shown only once."""

    user: User
    access_key: str = Field(repr=False)


class UserChange(Request):
    """``PATCH /v1/users/{email}``: omitted fields stay unchanged.

    Attributes:
        active: False locks the user out: keys and password stop working, jobs are suspended.
        machine_cpu, machine_gpu: ids of the default machine types; "": the farm's own.
    """

    name: Line | None = Field(default=None, min_length=1, max_length=200)
    plan: Line | None = Field(default=None, max_length=200)
    role: Role | None = None
    active: bool | None = None
    email_notices: bool | None = None
    machine_cpu: Line | None = Field(default=None, max_length=100)
    machine_gpu: Line | None = Field(default=None, max_length=100)


class NewPassword(Request):
    """``POST /v1/users/{email}/password``: all access keys of the user stop working."""

    password: str = Field(max_length=10_000, repr=False)


class CreditMove(Request):
    """``POST /v1/users/{email}/credits``: gives credits, or takes them when negative.

    Attributes:
        reference: chosen by the sender (a UUID): repeating it moves nothing more. "": every call
            moves credits.
    """

    credits: Amount
    reason: Line = Field(max_length=500)
    reference: Line = Field(default="", max_length=100)


class MyChange(Request):
    """``PATCH /v1/me``: what users decide for themselves; omitted fields stay unchanged.

    The fields are those of `UserChange`.
    """

    name: Line | None = Field(default=None, min_length=1, max_length=200)
    email_notices: bool | None = None
    machine_cpu: Line | None = Field(default=None, max_length=100)
    machine_gpu: Line | None = Field(default=None, max_length=100)
