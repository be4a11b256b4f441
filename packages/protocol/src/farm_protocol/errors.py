"""The one shape of an error answer, and its stable codes.

Every answer of the farm with a status of 400 or more has this JSON body::

    {"code": "invalid_request",
     "message": "The job 'beauty' cannot be submitted: frames: ...",
     "errors": {"jobs[0].frames": ["'1 0 0': the step must not be 0."]},
     "retry": false}

``code`` is stable and meant for programs; ``message`` is a text for people that says what to
do; ``errors`` names each offending field (empty unless the code is ``invalid_request``); ``retry``
says whether the same request may succeed later.
"""

from enum import StrEnum

from farm_protocol.models import Answer


class ErrorCode(StrEnum):
    """The stable codes, each with the HTTP status it travels with (see `STATUS`)."""

    INVALID_REQUEST = "invalid_request"
    NOT_AUTHENTICATED = "not_authenticated"
    TOKEN_REQUIRED = "token_required"  # noqa: S105
    INSUFFICIENT_CREDITS = "insufficient_credits"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    PROJECT_CHANGED = "project_changed"
    CLAIM_LOST = "claim_lost"
    HASH_MISMATCH = "hash_mismatch"
    TOO_LARGE = "too_large"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    STORAGE_FULL = "storage_full"
    QUOTA_EXCEEDED = "quota_exceeded"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


STATUS: dict[ErrorCode, int] = {
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.NOT_AUTHENTICATED: 401,
    ErrorCode.TOKEN_REQUIRED: 401,
    ErrorCode.INSUFFICIENT_CREDITS: 402,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.CLAIM_LOST: 410,
    ErrorCode.PROJECT_CHANGED: 412,
    ErrorCode.HASH_MISMATCH: 422,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.TOO_MANY_ATTEMPTS: 429,
    ErrorCode.STORAGE_FULL: 507,
    ErrorCode.QUOTA_EXCEEDED: 509,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}

RETRY = frozenset(
    {
        ErrorCode.TOO_MANY_ATTEMPTS,
        ErrorCode.STORAGE_FULL,
        ErrorCode.QUOTA_EXCEEDED,
        ErrorCode.UNAVAILABLE,
        ErrorCode.INTERNAL,
        ErrorCode.HASH_MISMATCH,
    }
)


class ErrorBody(Answer):
    """The body of every error answer; see the module's text."""

    code: str
    message: str
    errors: dict[str, list[str]] = {}
    retry: bool = False
