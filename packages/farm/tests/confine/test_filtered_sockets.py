"""Which sockets a confined program may make, and with what options: as root and as a user."""

import errno

import pytest
from farm.confine import View
from farm.confine.system_calls import filter_file

from .sandboxes import Inside

needs_filter = pytest.mark.skipif(filter_file() is None, reason="no filter for this machine")

FAMILIES = """
import socket
for number, kind in ((1, 1), (2, 1), (2, 2), (10, 1), (16, 3), (40, 1), (38, 5), (17, 3), (31, 1)):
    try:
        socket.socket(number, kind).close()
        print(number, "made")
    except OSError as error:
        print(number, "refused", error.errno)
"""


@needs_filter
def test_sockets_are_only_of_those_kinds_that_namespaces_hold(inside: Inside) -> None:
    told = inside(View(), FAMILIES).stdout.splitlines()
    made = [line for line in told if line.endswith("made")]
    # AF_UNIX, AF_INET twice, AF_INET6, AF_NETLINK: the last two unless the kernel has none.
    assert {"1 made", "2 made"} <= set(made) <= {"1 made", "2 made", "10 made", "16 made"}
    # Not AF_VSOCK, AF_ALG, AF_PACKET, AF_BLUETOOTH.
    refused = {line.split()[0]: int(line.split()[2]) for line in told if "refused" in line}
    assert all(refused[each] == errno.EAFNOSUPPORT for each in ("40", "38", "17", "31"))


PROTOCOLS = """
import errno, socket
for family in (socket.AF_INET, socket.AF_INET6):
    # Streams over several paths and of SCTP, datagrams of UDP-Lite and of ICMP, and other kinds.
    for kind, protocol in (
        (1, 0), (1, 6), (2 | socket.SOCK_CLOEXEC, 0), (2, 17),
        (1, 262), (1, 132), (2, 136), (2, 1), (5, 0), (5, 132), (6, 33),
    ):
        try:
            socket.socket(family, kind, protocol).close()
            print("made")
        except OSError as error:
            print(errno.errorcode[error.errno])
"""


@needs_filter
@pytest.mark.parametrize("watched", [False, True])
def test_what_is_queued_where_nobody_counts_it_is_refused(inside: Inside, watched: bool) -> None:
    """14,500 sockets of UDP-Lite held the share of all datagrams on the machine."""
    no = [*["EPROTONOSUPPORT"] * 4, *["ESOCKTNOSUPPORT"] * 3]
    told = inside(View(watched=watched), PROTOCOLS).stdout.splitlines()
    assert told == [*["made"] * 4, *no] * 2


OPTIONS = """
import errno, socket
one = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
for level, options in ((1, (37, 65, 60, 61, 73)), (41, (32,))):
    for option in options:
        try:
            one.setsockopt(level, option, bytes(32))
            print("set")
        except OSError as error:
            print(errno.errorcode[error.errno])
# Its copies of what arrives are its own to read; and another level's 37 and 18.
one.setsockopt(socket.SOL_SOCKET, 29, 1)
one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 2)
print(one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT))
"""


@needs_filter
@pytest.mark.parametrize("watched", [False, True])
def test_sockets_keep_no_copies_of_what_they_sent(inside: Inside, watched: bool) -> None:
    """Those of 382 connections held 7.2 GB."""
    told = inside(View(watched=watched), OPTIONS)
    # A larger mark for what is to be read makes a larger buffer, too.
    assert told.stdout.splitlines() == [*["ENOPROTOOPT"] * 6, "1"], told.stderr


SIZES = """
import socket
for one in (socket.socketpair()[0], socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)):
    before = [one.getsockopt(1, option) for option in (7, 8)]
    [one.setsockopt(1, option, size // 4) for option, size in zip((7, 8), before)]
    one.setsockopt(1, 9, 1)
    print([one.getsockopt(1, option) for option in (7, 8, 9)] == [*before, 1])
"""
NETLINK = """
import errno, socket
for protocol in (0, 2, 4, 9, 15, 16, 21):
    for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC):
        try:
            socket.socket(socket.AF_NETLINK, kind, protocol).close()
            print("made")
        except OSError as error:
            print(errno.errorcode[error.errno])
print(len(socket.if_nameindex()) > 0, len(socket.getaddrinfo("127.0.0.1", 80)) > 0)
"""


@needs_filter
@pytest.mark.parametrize("watched", [False, True])
def test_no_control_group_is_passed_by_queues_of_sockets(inside: Inside, watched: bool) -> None:
    """12,000 netlink sockets held 3 GB with the usual sizes, beside a group of 512 MB."""
    view = View(watched=watched)
    assert inside(view, SIZES).stdout.splitlines() == ["True", "True"]
    # What the C library asks for interfaces and addresses works.
    told = inside(view, NETLINK)
    expected = [*["made"] * 2, *["EPROTONOSUPPORT"] * 12, "True True"]
    assert told.stdout.splitlines() == expected, told.stderr


PAIRS = """
import socket
for number in (1, 30, 40):
    try:
        [each.close() for each in socket.socketpair(number, 1)]
        print(number, "made")
    except OSError as error:
        print(number, error.errno)
"""


@needs_filter
def test_nor_are_there_pairs_of_other_sockets(inside: Inside) -> None:
    # AF_TIPC is one that is made in pairs.
    no = errno.EAFNOSUPPORT
    assert inside(View(), PAIRS).stdout.splitlines() == ["1 made", f"30 {no}", f"40 {no}"]
