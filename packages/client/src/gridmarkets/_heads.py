"""Connections of `requests`: whom they may reach, and how much may precede an answer.

``http.client`` skips any number of ``100 Continue``, and its time-out is for each piece: a server
that keeps sending them would keep the caller waiting for ever.
"""

from __future__ import unicode_literals

import socket
import time

from requests.adapters import HTTPAdapter

from gridmarkets._compat import http_client
from gridmarkets._listeners import stranger_behind

# Python accepts a hundred header lines in an answer; Envoy sends a dozen.
MOST_LINES = 300


class EndlessHeadError(Exception):
    """The part before the answer never ends."""


class StrangerError(Exception):
    """A connection has reached another user's program.

    Attributes:
        uid: that user's id.
    """

    def __init__(self, uid):
        Exception.__init__(self, uid)
        self.uid = uid


class Adapter(HTTPAdapter):
    """Connects `requests`, never to another user of this machine, to answers whose heads end."""

    def get_connection(self, *args, **options):
        return _bounded(super(Adapter, self).get_connection(*args, **options))

    def get_connection_with_tls_context(self, *args, **options):
        # Newer versions of requests call this one.
        return _bounded(super(Adapter, self).get_connection_with_tls_context(*args, **options))


class _Answer(http_client.HTTPResponse):
    """An answer of ``http.client``."""

    def __init__(self, sock, *args, **options):
        # pyOpenSSL's stand-in for a socket does not tell.
        self._seconds = sock.gettimeout() if hasattr(sock, "gettimeout") else None
        http_client.HTTPResponse.__init__(self, sock, *args, **options)

    def begin(self):
        lines = _Lines(self.fp, self._seconds)
        self.fp = lines
        try:
            http_client.HTTPResponse.begin(self)
        finally:
            # Python 2 may have wrapped it, and closes it after an error.
            if self.fp is lines:
                self.fp = lines.file


class _Lines(object):
    """A file of which only a limited number of lines is read, in a limited time."""

    def __init__(self, file, seconds):
        self.file = file
        self._left = MOST_LINES
        self._until = None if seconds is None else time.time() + seconds

    def readline(self, *args):
        self._left -= 1
        if self._left < 0:
            raise EndlessHeadError()
        if self._until is not None and time.time() > self._until:
            raise socket.timeout("timed out")
        return self.file.readline(*args)

    def __getattr__(self, name):
        return getattr(self.file, name)


def _bounded(pool):
    """Return a pool of connections that make answers of our kind from now on."""
    if not issubclass(pool.ConnectionCls, _Bounded):
        pool.ConnectionCls = type(str("BoundedConnection"), (_Bounded, pool.ConnectionCls), {})
    return pool


class _Bounded(object):
    response_class = _Answer

    def connect(self):
        super(_Bounded, self).connect()
        # A TLS socket wraps another one, and is not Envoy's.
        if self.sock.__class__ is socket.socket and _is_within(self.sock):
            uid = stranger_behind(self.sock)
            if uid is not None:
                self.close()
                raise StrangerError(uid)


def _is_within(sock):
    try:
        there = sock.getpeername()[0]
    except socket.error:
        return False
    return there == "::1" or there.startswith("127.")
