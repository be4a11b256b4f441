"""Opens the sockets for the licence servers in the network namespace of a sandbox.

    python licence_sockets.py ORDERS -- bwrap ARGUMENTS

Execs bubblewrap, which waits until the sockets exist. A second process creates them in bubblewrap's
namespace, and passes them to the runner; see `farm.runner.sandbox.licences`. It stays outside of
the sandbox, and is gone when the renderer starts.

Its orders are `Orders`, in JSON. Only the standard library, Python 3.10 or newer, only Linux.
"""

import array
import contextlib
import ctypes
import errno
import fcntl
import ipaddress
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any, TypedDict

READY = b"1"
_NS_GET_USERNS = 0xB701  # linux/nsfs.h
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
_RTM_NEWADDR = 20  # linux/rtnetlink.h
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_REPLACE, _NLM_F_CREATE = 1, 4, 0x100, 0x400  # linux/netlink.h
_IFA_ADDRESS, _IFA_LOCAL = 1, 2  # linux/if_addr.h
_SIOCGIFFLAGS, _IFF_UP = 0x8913, 1  # linux/sockios.h, linux/if.h
_TRIES, _PAUSE_SECONDS = 10_000, 0.002
_SENDS, _SEND_PAUSE_SECONDS = 75, 0.2
"""Fifteen seconds: the runner waits a little longer."""
_LOOPBACK = 1
"""The index of ``lo``: the first in each namespace."""
_BACKLOG = 16


class Orders(TypedDict):
    """The runner's orders.

    Attributes:
        socket: where the runner listens.
        addresses: addresses of the licence servers, with their ports.
    """

    socket: str
    addresses: "list[tuple[str, int]]"


def main() -> None:
    """Prepare the sockets and exec bubblewrap."""
    split = sys.argv.index("--")
    orders: Orders = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    line = sys.argv[split + 1 :]
    info_read, info_write = os.pipe()
    block_read, block_write = os.pipe()
    first = os.fork()
    if first == 0:
        # Forked twice, so that bubblewrap gets no child that it does not know.
        if os.fork():
            os._exit(0)
        os.close(info_write)
        os.close(block_read)
        _prepare(orders["socket"], orders["addresses"], info_read)
        os.write(block_write, READY)
        os._exit(0)
    os.waitpid(first, 0)
    os.close(info_read)
    os.close(block_write)
    for descriptor in (info_write, block_read):
        os.set_inheritable(descriptor, True)
    options = ["--info-fd", str(info_write), "--block-fd", str(block_read)]
    os.execv(line[0], [line[0], *options, *line[1:]])  # noqa: S606 - this is what we become


def _prepare(runner: str, addresses: "list[tuple[str, int]]", info_read: int) -> None:
    """Create the sockets and pass them on. On an error bubblewrap continues without them."""
    try:
        with open(info_read, encoding="utf-8") as file:
            process = json.load(file)["child-pid"]
        with socket.socket(socket.AF_UNIX) as connection:
            # Relative to the folder: the path of such a socket may have at most 107 bytes.
            os.chdir(Path(runner).parent)
            connection.connect(Path(runner).name)
            _enter(process)
            _wait_for_loopback()
            sockets = _sockets(addresses)
            numbers = array.array("i", [each.fileno() for each in sockets.values()])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)]
            _send(connection, json.dumps(list(sockets)).encode(), ancillary if sockets else [])
            connection.recv(1)
    except (OSError, ValueError, KeyError) as error:
        _say(f"No licence server can be reached: {error}")


def _send(connection: socket.socket, data: bytes, ancillary: "list[Any]") -> None:
    """Send descriptors, with retries: the kernel counts those in transit per user.

    A scene of the same user may have used up all of them, until its runner ends it.
    """
    for _ in range(_SENDS):
        try:
            connection.sendmsg([data], ancillary)
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                raise
            time.sleep(_SEND_PAUSE_SECONDS)
        else:
            return
    raise OSError(
        errno.ETOOMANYREFS,
        "another program of this user has too many open files in transit between processes",
    )


def _sockets(addresses: "list[tuple[str, int]]") -> "dict[int, socket.socket]":
    """Return the listening sockets, by index of the address: all that could be opened."""
    made = {}
    for index, (address, port) in enumerate(addresses):
        try:
            _add_address(ipaddress.ip_address(address))
            made[index] = _listen(address, port)
        except OSError as error:
            _say(f"The licence server at {address} cannot be reached: {error}")
    return made


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _enter(process: int) -> None:
    """Enter the network namespace of a process, with the rights of its creator."""
    libc = ctypes.CDLL(None, use_errno=True)
    network = os.open(f"/proc/{process}/ns/net", os.O_RDONLY)
    owner = fcntl.ioctl(network, _NS_GET_USERNS)
    if not os.path.samestat(os.fstat(owner), Path("/proc/self/ns/user").stat()):
        _check(libc.setns(owner, _CLONE_NEWUSER))
    _check(libc.setns(network, _CLONE_NEWNET))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _wait_for_loopback() -> None:
    """Wait until bubblewrap has enabled the loopback device: before, it has no addresses.

    We must not enable it ourselves: bubblewrap would treat its address as a failure.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _ in range(_TRIES):
            answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
            if struct.unpack_from("h", answer, 16)[0] & _IFF_UP:
                return
            time.sleep(_PAUSE_SECONDS)
    raise OSError(errno.ETIMEDOUT, "the sandbox has no loopback device")


def _add_address(address: "ipaddress.IPv4Address | ipaddress.IPv6Address") -> None:
    """Give the namespace's loopback device an address, unless it already has it."""
    if address.is_loopback:
        return
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = struct.pack("=BBBBi", family, address.max_prefixlen, 0, 0, _LOOPBACK)
    for kind in (_IFA_LOCAL, _IFA_ADDRESS):
        body += struct.pack("=HH", 4 + len(address.packed), kind) + address.packed
    # Repeating it for another port is not an error: the kernel replaces equal addresses.
    flags = _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_REPLACE
    header = struct.pack("=IHHII", 16 + len(body), _RTM_NEWADDR, flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.sendto(header + body, (0, 0))
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(_BACKLOG)
    return listener


if __name__ == "__main__":
    main()
