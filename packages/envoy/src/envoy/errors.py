"""Envoy's errors.

::

    EnvoyError
    ├── InvalidRequestError       a request that cannot be accepted; names each field     (400)
    ├── NotOnFarmError            an action on a job that is not submitted yet    (409)
    ├── FarmUnreachableError      no answer from the farm; trying again may help          (503)
    ├── FarmAnswerError           the farm answered with an error; passed on unchanged
    │   └── NotSignedInError      there is no access key                                (401)
    │       └── OtherAccountError     there is one, but it is another account's
    ├── LocalFileError            a file to upload is gone or cannot be read
    │   └── FileChangedError      a file changed while it was being sent
    ├── CorruptDownloadError      the bytes received are not the announced ones
    └── StartError                Envoy cannot start; ``str()`` says why and what to do
        └── TokenFileError        the file with the token of the strict mode cannot be used

`str()` of each is a message for people. `web.answers` translates them once.
"""

from farm_protocol.errors import STATUS, ErrorBody, ErrorCode

Errors = dict[str, list[str]]
"""Field -> what is wrong with it, in messages."""


class EnvoyError(Exception):
    """The root of all errors that Envoy raises on purpose."""


class InvalidRequestError(EnvoyError):
    """A request that cannot be accepted.

    Attributes:
        errors: field -> messages.
    """

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        messages = [f"{field}: {text}" for field, texts in errors.items() for text in texts]
        shown = " ".join(messages[:3])
        more = f" (and {len(messages) - 3} more)" if len(messages) > 3 else ""
        super().__init__(f"The request cannot be accepted. {shown}{more}")

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidRequestError":
        """Return the error for one field."""
        return cls({field: [message]})


class NotOnFarmError(EnvoyError):
    """A job cannot be acted on yet: its files are still on their way."""


class FarmUnreachableError(EnvoyError):
    """The farm did not answer."""


class FarmAnswerError(EnvoyError):
    """The farm answered with a status of 400 or more.

    Attributes:
        status: the HTTP status.
        body: the farm's own error body.
    """

    def __init__(self, status: int, body: ErrorBody) -> None:
        self.status = status
        self.body = body
        super().__init__(body.message)

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later without anyone's help."""
        return self.status >= 500 or self.status == 429 or self.body.retry


class NotSignedInError(FarmAnswerError):
    """Nobody is signed in, or somebody else is."""

    def __init__(self, message: str = "Nobody is signed in to Envoy. Sign in first.") -> None:
        code = ErrorCode.NOT_AUTHENTICATED
        super().__init__(STATUS[code], ErrorBody(code=code, message=message))


class OtherAccountError(NotSignedInError):
    """Another account is signed in than the one whose work this is."""


class LocalFileError(EnvoyError):
    """A file to upload is gone or cannot be read."""


class FileChangedError(LocalFileError):
    """A file changed while it was being sent."""


class CorruptDownloadError(EnvoyError):
    """The bytes received are not the announced ones."""


class StartError(EnvoyError):
    """Envoy cannot start."""


class TokenFileError(StartError):
    """The token file of the strict mode is not private, or contains no token."""
