"""The farm's errors: one root, one class a code of the protocol.

    FarmError(code)
        InvalidRequestError      fields that are wrong, several at once
        NotAuthenticatedError    no or wrong key, password or runner token
        TooManyAttemptsError     too many wrong passwords; says how long to wait
        InsufficientCreditsError
        ForbiddenError           an administrator's route, called by somebody else
        NotFoundError
        ConflictError            cannot be done in the present state
        ClaimLostError           a runner reports for a claim that is no longer its own
        HashMismatchError        bytes that do not match their hash
        BlobLostError            bytes that the farm should have but has not
        StorageFullError         the farm's disk has no room
        QuotaExceededError       the account may store no more
        UnavailableError         not now; the same request may work a little later
        CannotOpenDatabaseError  only at start: never an answer of the API

`farm.api.errors` turns them into answers; nothing else does.
"""

from farm_protocol.errors import ErrorCode


class FarmError(Exception):
    """Root of the farm's errors. ``str()`` is a message that says what to do."""

    code = ErrorCode.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.errors: dict[str, list[str]] = {}


class InvalidRequestError(FarmError):
    """``errors``: messages by field, such as ``{"jobs[0].frames": ["..."]}``."""

    code = ErrorCode.INVALID_REQUEST

    def __init__(self, errors: dict[str, list[str]]) -> None:
        shown = [f"{field}: {text}" for field, texts in errors.items() for text in texts]
        super().__init__(f"The request is not valid. {' '.join(shown)}")
        self.errors = errors


class NotAuthenticatedError(FarmError):
    """No account or runner belongs to the credentials."""

    code = ErrorCode.NOT_AUTHENTICATED


class TooManyAttemptsError(FarmError):
    """Too many consecutive wrong passwords. ``seconds``: until the next one is checked."""

    code = ErrorCode.TOO_MANY_ATTEMPTS

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many wrong passwords. Try again in {seconds} seconds.")
        self.seconds = seconds


class InsufficientCreditsError(FarmError):
    """The account's balance is not positive."""

    code = ErrorCode.INSUFFICIENT_CREDITS


class ForbiddenError(FarmError):
    """The account's role does not allow it."""

    code = ErrorCode.FORBIDDEN


class NotFoundError(FarmError):
    """It does not exist, or belongs to another user: the answer is the same."""

    code = ErrorCode.NOT_FOUND


class ConflictError(FarmError):
    """It cannot be done in the present state."""

    code = ErrorCode.CONFLICT


class ProjectChangedError(FarmError):
    """A submission was to have the files of a revision that its project no longer has."""

    code = ErrorCode.PROJECT_CHANGED


class ClaimLostError(FarmError):
    """The claim has ended or was given away."""

    code = ErrorCode.CLAIM_LOST


class HashMismatchError(FarmError):
    """The bytes received are not the announced ones."""

    code = ErrorCode.HASH_MISMATCH


class BlobLostError(FarmError):
    """The store lacks the bytes of a blob that the database knows: somebody has removed them."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, blob_hash: str) -> None:
        super().__init__(
            f"The farm's store has lost the bytes of the blob {blob_hash}. An administrator can"
            " restore them from a backup."
        )


class UnavailableError(FarmError):
    """Too many requests at the moment, or it takes too long."""

    code = ErrorCode.UNAVAILABLE


class StorageFullError(FarmError):
    """The store's disk is full, except for the database's reserve."""

    code = ErrorCode.STORAGE_FULL


class QuotaExceededError(FarmError):
    """The account stores, or has in transit, as much as it may."""

    code = ErrorCode.QUOTA_EXCEEDED


class CannotOpenDatabaseError(FarmError):
    """The farm's database cannot be opened: a wrong address, no driver, no answer."""
