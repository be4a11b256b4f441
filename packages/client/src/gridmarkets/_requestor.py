"""HTTP to Envoy: the only module that knows `requests`, and the only one that translates.

`Requestor.request` gives the plain answer; `Requestor.get` and `Requestor.post` give its JSON or
raise one of the four errors of `gridmarkets.errors`.
"""

from __future__ import unicode_literals

import json
import os
import re
import socket
import threading
import time
import unicodedata

import requests

from gridmarkets import _heads, _token, errors
from gridmarkets._compat import is_text, quote_segment, to_text
from gridmarkets._listeners import stranger_at
from gridmarkets.version import __version__

CONNECT_SECONDS = 5
READ_SECONDS = {"GET": 30, "POST": 120}
# Waits before the second and third attempt of a GET. A POST is never repeated: it may have
# arrived although its answer did not.
RETRY_WAITS = (0.1, 0.4)
RETRY_STATUSES = (502, 503, 504)
LOOPBACK = "127.0.0.1"
# The token is shown to nobody else: no name that only begins like a number, no "user@".
_LOOPBACK_URL = re.compile(
    r"http://(localhost|127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|\[::1\])(:[0-9]{1,5})?(?=[/?]|$)",
    re.IGNORECASE,
)
# Far more than the status of a project with a million files. The answer may not come from Envoy.
MOST_BYTES = 512 * 1024 * 1024
PIECE_BYTES = 64 * 1024

TOKEN_REQUIRED = "token_required"  # noqa: S105
_ERROR_BY_CODE = {
    "invalid_request": errors.InvalidRequestError,
    "not_authenticated": errors.AuthenticationError,
    "insufficient_credits": errors.InsufficientCreditsError,
    # Another password would not help.
    TOKEN_REQUIRED: errors.APIError,
}
_ERROR_BY_STATUS = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: errors.InsufficientCreditsError,
}


class Requestor(object):
    """Requests to one Envoy.

    Attributes:
        url (text): where Envoy is, without a slash at the end.

    Parameters:
        token: what a strict Envoy asks for; None: what `gridmarkets._token` finds.
    """

    def __init__(self, url, token=None):
        url = to_text(url).strip().rstrip("/")
        self.url = url if "://" in url else "http://" + url
        self._token = token
        self._local = threading.local()

    def get(self, *segments, **options):
        """Return the JSON of ``GET /<segments>``; ``params`` are (name, value) pairs."""
        return self._json_of(self.request("GET", _path(segments), params=options.get("params")))

    def post(self, segments, body):
        """Return the JSON of ``POST /<segments>`` with ``body`` as JSON."""
        return self._json_of(self.request("POST", _path(segments), body))

    def request(self, method, url, body=None, params=None, timeout=None):
        """Send one request and return the answer of `requests`, whatever its status.

        Plug-ins use this for routes that this library has no method for.

        Parameters:
            method: "GET", "POST", ... in any case.
            url: a whole URL, or a path of Envoy that starts with a slash.
            body: sent as JSON unless None.
            params: query, a list of (name, value).
            timeout: seconds to wait for the answer; by default 30 for GET, 120 otherwise.

        Raises:
            APIError: Envoy is not running, did not answer in time, or broke off.
        """
        method = to_text(method).upper()
        url = to_text(url)
        if url.startswith("/"):
            url = self.url + url
        waits = RETRY_WAITS if method == "GET" else ()
        for wait in waits:
            try:
                answer = self._send(method, url, body, params, timeout)
                if answer.status_code not in RETRY_STATUSES:
                    return answer
            except errors.APIError as error:
                if not error.retry:
                    raise
            time.sleep(wait)
        return self._send(method, url, body, params, timeout)

    def _send(self, method, url, body, params, timeout):
        if "\0" in url:
            # Python versions raise different errors here, with different messages.
            raise errors.APIError("Envoy's address {0} cannot be used.".format(self.url))
        headers = {
            "Accept": "application/json",
            # A few compressed bytes can expand to any number.
            "Accept-Encoding": "identity",
            "User-Agent": "gridmarkets-envoy-client/" + __version__,
        }
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode("utf-8")
        shown = self._shown(url)
        url, host = self._by_number(url)
        if host is not None:
            headers["Host"] = host
        # After the check of who listens there.
        if shown.token:
            headers["Authorization"] = str("Bearer " + shown.token)
        seconds = timeout or READ_SECONDS.get(method, READ_SECONDS["POST"])
        session = self._session(url)
        if method != "GET":
            # A kept connection may be dead by now (Envoy restarted), which is noticed only after
            # the request was sent; and this request must not be sent twice.
            session.close()
        try:
            answer = session.request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                timeout=(CONNECT_SECONDS, seconds),
                allow_redirects=False,
                stream=True,
            )
            _read(answer)
            return answer
        except (_TooMuchError, _heads.EndlessHeadError):
            raise errors.APIError(
                "The program at {0} is not Envoy: its answer never ends.".format(self.url)
            )
        except _heads.StrangerError as error:
            raise self._stranger_error(error.uid)
        # requests raises some errors about invalid URLs as plain ValueErrors.
        except (requests.exceptions.RequestException, ValueError) as error:
            raise self._transport_error(error, seconds)

    def _shown(self, url):
        """Return the token to send to ``url``: none to anybody but Envoy on this machine."""
        own, asked = _LOOPBACK_URL.match(self.url), _LOOPBACK_URL.match(url)
        if own is None or asked is None or own.group(0).lower() != asked.group(0).lower():
            return _token.Shown("")
        return _token.find(self._token)

    def _by_number(self, url):
        """Return where a request is sent to, and its Host header (None: as usual).

        ``localhost`` may mean ::1, where another user may listen on a machine without IPv6 of its
        Envoy: Envoy is always at 127.0.0.1.

        Raises:
            APIError: the program that listens there belongs to another user.
        """
        scheme, rest = url.split("://", 1) if "://" in url else ("", url)
        authority = _authority(url)
        if scheme.lower() != "http" or not _is_local(url):
            return url, None
        name, port = _name_and_port(authority)
        number = _local_address(name)
        uid = stranger_at(number, port)
        if uid is not None:
            raise self._stranger_error(uid)
        if number != LOOPBACK or name == LOOPBACK:
            return url, None
        return "{0}://{1}:{2}{3}".format(scheme, number, port, rest[len(authority) :]), authority

    def _session(self, url):
        """Return this thread's own session: `requests` does not promise to be thread-safe.

        Parameters:
            url: what is asked with it, which need not be Envoy's.
        """
        # A forked child must not write into its parent's connections.
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.pid = os.getpid()
            self._local.session = requests.Session()
            for scheme in ("http://", "https://"):
                self._local.session.mount(scheme, _heads.Adapter())
        # The environment's proxies (and .netrc) are for other machines.
        self._local.session.trust_env = not _is_local(url)
        return self._local.session

    def _stranger_error(self, uid):
        return errors.APIError(
            "The program at {0} belongs to another user of this machine (user {1}), so nothing "
            "was sent to it. Start your own Envoy on another port, such as "
            "`envoy up --port 8091`, and give its address.".format(self.url, uid)
        )

    def _transport_error(self, error, seconds):
        if _never_connected(error):
            return errors.APIError(
                "Envoy is not running at {0}. Start it with `envoy up`, then try again.".format(
                    self.url
                ),
                retry=True,
            )
        if isinstance(error, requests.exceptions.Timeout):
            # No retry: the user has waited long enough already.
            return errors.APIError(
                (
                    "Envoy at {0} did not answer within {1} seconds. It may be busy. Try again"
                    " in a moment."
                ).format(self.url, seconds)
            )
        if isinstance(error, requests.exceptions.ConnectionError):
            return errors.APIError(
                "Envoy at {0} closed the connection without an answer. Check that it is still"
                " running (`envoy up` starts it), then try again.".format(self.url),
                retry=True,
            )
        return errors.APIError("Envoy's address {0} cannot be used.".format(self.url))

    def _json_of(self, answer):
        """Return the JSON of a successful answer, or raise the error that it stands for."""
        status = answer.status_code
        body = _parse(answer)
        if status >= 400:
            error = _error_of(status, body, answer)
            if error.code == TOKEN_REQUIRED:
                error = self._with_source(error)
            raise error
        if 200 <= status < 300 and isinstance(body, (dict, list)):
            return body
        raise errors.APIError(
            "The program at {0} is not Envoy: it answered with status {1}. Check whether another"
            " program uses this port.".format(self.url, status),
            http_status=status,
        )

    def _with_source(self, error):
        """Return an error about the token that says which token was sent, or why none was."""
        source = self._shown(self.url).source
        message = "{0} {1}".format(error.user_message, source).strip()
        return type(error)(message, error.http_status, error.code, error.retry)


class _TooMuchError(Exception):
    """An answer is larger than any of Envoy's."""


def _read(answer):
    """Read the body of an answer into its ``content``."""
    parts = []
    size = 0
    for part in answer.iter_content(PIECE_BYTES):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            answer.close()
            raise _TooMuchError()
    # As if ``content`` had been read; requests has no way to limit that.
    answer._content = b"".join(parts)
    answer._content_consumed = True


def _path(segments):
    return "/" + "/".join(quote_segment(segment) for segment in segments)


def _authority(url):
    return re.match("[^/?#]*", url.split("://", 1)[-1]).group(0)


def _is_local(url):
    return _local_address(_name_and_port(_authority(url))[0]) is not None


def _local_address(host):
    """Return the address of this machine that a host means, however it is written, or None."""
    # As requests reads it: full-width letters are letters, too.
    name = unicodedata.normalize("NFKC", host).lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return LOOPBACK
    if ":" not in name:
        try:
            # As the system reads numbers: 127.1 and 2130706433 are addresses, too.
            address = to_text(socket.inet_ntoa(socket.inet_aton(str(name))))
        except (socket.error, ValueError):
            return None
        return LOOPBACK if address == "0.0.0.0" else _if_loopback(address)  # noqa: S104
    try:
        packed = socket.inet_pton(socket.AF_INET6, str(name))
    except (AttributeError, socket.error, ValueError):
        return name if name == "::1" else None
    if packed[:12] == b"\0" * 10 + b"\xff\xff":
        return _local_address(to_text(socket.inet_ntoa(packed[12:])))
    return "::1" if packed in (b"\0" * 16, b"\0" * 15 + b"\1") else None


def _if_loopback(address):
    return address if address.startswith("127.") else None


def _name_and_port(authority):
    name, _, port = authority.rsplit("@", 1)[-1].rpartition(":")
    if name and not port:
        return name, 80
    if not port.isdigit() or not name:
        return authority.rsplit("@", 1)[-1], 80
    return name, int(port)


def _never_connected(error):
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    # Compared by name: the class is part of urllib3, which old versions of requests bundle.
    return any(base.__name__ == "NewConnectionError" for base in type(reason).__mro__)


def _parse(answer):
    try:
        return json.loads(answer.content.decode("utf-8"))
    # RuntimeError: lists nested deeper than Python can go.
    except (ValueError, RuntimeError):
        return None


def _error_of(status, body, answer):
    body_fields = body if isinstance(body, dict) else {}
    code = body_fields.get("code")
    code = code if is_text(code) else None
    kind = _ERROR_BY_CODE.get(code) or _ERROR_BY_STATUS.get(status, errors.APIError)
    message = body_fields.get("message")
    message = message if is_text(message) and message.strip() else None
    details = {"http_status": status, "code": code, "retry": body_fields.get("retry") is True}
    # Keyword names must be bytes on early Python 2.6.
    details = dict((str(name), value) for name, value in details.items())
    if kind is errors.InvalidRequestError:
        field_errors = _field_errors(body)
        return kind(message or _plain_text(answer, field_errors), errors=field_errors, **details)
    if message is None and kind is errors.APIError:
        message = "Envoy answered with status {0}. {1}".format(status, _plain_text(answer)).strip()
    return kind(message or _plain_text(answer), **details)


def _field_errors(body):
    """Return field -> list of messages, from any JSON that an Envoy ever answered with 400."""
    if isinstance(body, dict):
        body = body.get("errors", body)
    if isinstance(body, dict):
        return dict(
            (to_text(field), _message_list(value))
            for field, value in body.items()
            if field not in ("code", "message", "retry")
        )
    return {"request": _message_list(body)} if body else {}


def _message_list(value):
    values = value if isinstance(value, list) else [value]
    return [to_text(v) if is_text(v) else to_text(json.dumps(v)) for v in values]


def _plain_text(answer, field_errors=None):
    """Return the text of an answer if a person can read it; "" when it is JSON, HTML or long."""
    if field_errors:
        return ""
    text = answer.content.decode("utf-8", "replace").strip()
    if text[:1] == '"' and text[-1:] == '"':
        text = text[1:-1]
    return "" if len(text) > 500 or text[:1] in "<{[" else text
