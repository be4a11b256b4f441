"""Whose the program is that listens on a port of this machine, where the kernel tells: on Linux.

Envoy may not be running, and then its port is free for any user of the machine. What is meant for
Envoy, passwords among it, is sent to nobody else's program.
"""

from __future__ import unicode_literals

import os
import socket
import struct
import sys

_LISTENS = "0A"
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
    except (socket.error, ValueError):  # It is no address, as in http://127.example.com.
        return None
    for table, addresses in tables:
        wanted = ["{0}:{1:04X}".format(address, port) for address in addresses]
        for address, uid in _listeners("/proc/net/" + table):
            if address in wanted and uid not in ours:
                return uid
    return None


def _in_tcp(host):
    """Return the addresses whose listener gets connections to ``host``, as the table has them."""
    return [] if ":" in host else [_words(socket.inet_aton(str(host))), "0" * 8]


def _in_tcp6(host):
    if ":" in host:
        return [_words(socket.inet_pton(socket.AF_INET6, str(host))), "0" * 32]
    # One on all addresses may serve IPv4 as well, and so may one on an IPv4 address in IPv6.
    return ["0" * 32, _words(b"\0" * 10 + b"\xff\xff" + socket.inet_aton(str(host)))]


def _words(packed):
    count = len(packed) // 4
    numbers = struct.unpack(str("={0}I").format(count), packed)
    return "".join("{0:08X}".format(number) for number in numbers)


def _listeners(table):
    """Return [(address, user id)] of the listeners, which stand before the connections."""
    found = []
    try:
        with open(table) as rows:
            next(rows)
            for row in rows:
                fields = row.split()
                if fields[3] != _LISTENS:
                    break
                found.append((fields[1], int(fields[7])))
    except (IOError, OSError, ValueError, IndexError, StopIteration):
        return found
    return found
