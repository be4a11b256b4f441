"""A scene has taken all that its user's programs may wait for with `epoll`: everything goes on.

A filter of system calls gives the services and the runner the answer that the kernel gives then, so
that no test needs to use up a share of the whole machine.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import Studio, a_studio

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"),
    reason="the filter is made for these machines",
)

WITHOUT_EPOLL = """
import ctypes, errno, os, struct, sys
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
NUMBER, SECOND_ARGUMENT = 0, 24  # struct seccomp_data, of a little-endian machine
ALLOW, ERROR = 0x7FFF0000, 0x00050000  # linux/seccomp.h
ADD = 1  # EPOLL_CTL_ADD
NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2  # linux/prctl.h
epoll_ctl = {"x86_64": 233, "aarch64": 21}[os.uname().machine]
lines = [
    (LOAD, 0, 0, NUMBER), (EQUAL, 0, 3, epoll_ctl),
    (LOAD, 0, 0, SECOND_ARGUMENT), (EQUAL, 0, 1, ADD),
    (RETURN, 0, 0, ERROR | errno.ENOSPC),
    (RETURN, 0, 0, ALLOW),
]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in lines))
filter = ctypes.create_string_buffer(struct.pack("HP", len(lines), ctypes.addressof(program)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
prctl.argtypes = [ctypes.c_int] + 4 * [ctypes.c_ulong]
assert prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
assert prctl(SET_SECCOMP, FILTER, ctypes.addressof(filter), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def starved(tmp_path: Path) -> Iterator[Studio]:
    yield from a_studio(tmp_path, prefix=[sys.executable, "-c", WITHOUT_EPOLL])


def test_a_project_is_rendered_without_epoll(starved: Studio) -> None:
    with ExitStack() as held:
        for _ in range(50):
            held.enter_context(socket.create_connection(("127.0.0.1", starved.port), 60))
        starved.submit(frames="1 2")
        starved.assert_complete(2)
