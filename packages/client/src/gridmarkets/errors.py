"""Everything that this library raises on purpose::

    EnvoyError                    catches all of them
      AuthenticationError         email, password or access key are wrong, or nobody is signed in
      InsufficientCreditsError    the account's credits are used up
      InvalidRequestError         the project or a job is wrong; `errors` says which fields, and why
      APIError                    Envoy cannot be reached, or something else went wrong

Each HTTP status and each failure of the connection becomes exactly one of the four.
"""

from __future__ import unicode_literals

from gridmarkets._compat import to_text, with_unicode_str


@with_unicode_str
class EnvoyError(Exception):
    """The root of all errors of this library.

    Attributes:
        user_message (text): messages for the user: what happened and what to do.
        http_status (int or None): the HTTP status of the answer; None when there was no answer,
            or when the mistake was found before anything was sent.
        code (text or None): a stable word for programs, when the answer had one.
        retry (bool): whether the same call may succeed later.
    """

    default_message = "Envoy could not do this."

    def __init__(self, user_message=None, http_status=None, code=None, retry=False):
        message = to_text(user_message or self.default_message)
        Exception.__init__(self, message)
        self.user_message = message
        self.http_status = http_status
        self.code = code
        self.retry = retry

    def __str__(self):
        return self.user_message


class AuthenticationError(EnvoyError):
    """The credentials are wrong, or nobody is signed in."""

    default_message = "The email address, password or access key is not correct."


class InsufficientCreditsError(EnvoyError):
    """The account has no credits left."""

    default_message = "There are no credits left. Add credits to your account, then submit again."


class InvalidRequestError(EnvoyError):
    """The project, a job or a watch file is not right.

    Attributes:
        errors (dict): field -> list of messages, for example
            ``{"jobs[0].frames": ["'1 0 0': the step must not be 0."]}``. May be empty.
    """

    default_message = "The request is not valid."

    def __init__(self, user_message=None, http_status=None, code=None, retry=False, errors=None):
        self.errors = errors or {}
        if not user_message and self.errors:
            user_message = messages(self.errors)
        EnvoyError.__init__(self, user_message, http_status, code, retry)


class APIError(EnvoyError):
    """Envoy cannot be reached, or an error that no other class covers."""


# The published documentation catches it under this spelling, too.
ApIError = APIError


def messages(errors):
    """Format field errors (field -> list of messages) as one text for people."""
    lines = []
    for field in sorted(errors):
        for message in errors[field]:
            lines.append("{0}: {1}".format(field, message))
    return "\n".join(lines)
