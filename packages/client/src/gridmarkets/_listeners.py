"""The owner of the program that listens on a port of this machine, if the kernel tells: on Linux.

While Envoy is not running, any user of the machine can take its port. Data meant for Envoy, such as
passwords, is never sent to another user's program.
"""

from __future__ import unicode_literals

import os
import socket
import struct
import sys

_LISTENS = "0A"
# States of an open connection: established, and one end has sent all that it will.
_OPEN = ("01", "04", "05", "08")
_ROOT = 0


def stranger_at(host, port):
    """Return the id of another user whose program would get what is sent, or None.

    None also when nobody listens there, or when it cannot be told. Root is no stranger.

    Parameters:
        host: a loopback address as text, without brackets.
        port: number.
    """
    if not sys.platform.startswith("linux"):
        return None
    ours = (os.geteuid(), _ROOT)
    try:
        tables = (("tcp", _in_tcp(host)), ("tcp6", _in_tcp6(host)))
    except (socket.error, ValueError):  # Not an address, as in http://127.example.com.
        return None
    for table, addresses in tables:
        wanted = ["{0}:{1:04X}".format(address, port) for address in addresses]
        for address, uid in _listeners("/proc/net/" + table):
            if address in wanted and uid not in ours:
                return uid
    return None


def stranger_behind(sock):
    """Return the id of another user whose program a connection within this machine has reached.

    None as for `stranger_at`. Checking before connecting is not enough: Envoy may end after the
    check, and another program may take its port before the connection is made.

    Parameters:
        sock: a TCP socket that has just been connected to a loopback address.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        there, here = sock.getpeername()[:2], sock.getsockname()[:2]
    except socket.error:  # The connection is already closed.
        return None
    # In this order: a connection that nobody has accepted yet belongs to the listener, and ends
    # with its socket. So it belongs to the listener found above, if nobody has accepted it by now.
    listener = stranger_at(*there)
    accepted = _owner(there, here)
    if accepted is None:
        return listener
    return None if accepted in (os.geteuid(), _ROOT) else accepted


def _owner(there, here):
    """Return who owns the other end of a connection; None: nobody yet, or it cannot be told."""
    for table, own, others in (
        ("tcp", _in_tcp(here[0])[:1], _in_tcp(there[0])[:1]),
        ("tcp6", _in_tcp6(here[0]), _in_tcp6(there[0])),
    ):
        local = ["{0}:{1:04X}".format(address, there[1]) for address in others]
        remote = ["{0}:{1:04X}".format(address, here[1]) for address in own]
        for fields in _rows("/proc/net/" + table):
            if fields[3] in _OPEN and fields[1] in local and fields[2] in remote:
                # Without an inode it exists only in the kernel, which reports root as its owner.
                return int(fields[7]) if fields[9] != "0" else None
    return None


def _in_tcp(host):
    """Return the addresses whose listener gets connections to ``host``, as in the table."""
    return [] if ":" in host else [_words(socket.inet_aton(str(host))), "0" * 8]


def _in_tcp6(host):
    if ":" in host:
        return [_words(socket.inet_pton(socket.AF_INET6, str(host))), "0" * 32]
    # A listener on all addresses may serve IPv4 as well, and so may one on an IPv4-mapped address.
    return ["0" * 32, _words(b"\0" * 10 + b"\xff\xff" + socket.inet_aton(str(host)))]


def _words(packed):
    count = len(packed) // 4
    numbers = struct.unpack(str("={0}I").format(count), packed)
    return "".join("{0:08X}".format(number) for number in numbers)


def _listeners(table):
    """Return [(address, user id)] of the listeners, which come before the connections."""
    found = []
    for fields in _rows(table):
        if fields[3] != _LISTENS:
            break
        found.append((fields[1], int(fields[7])))
    return found


def _rows(table):
    """Yield the fields of each socket, as far as the table can be read."""
    try:
        with open(table) as rows:
            next(rows)
            for row in rows:
                fields = row.split()
                int(fields[7]), fields[9]
                yield fields
    except (IOError, OSError, ValueError, IndexError, StopIteration):
        return
