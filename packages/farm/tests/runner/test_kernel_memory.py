"""Memory of the kernel that counts as nobody's, and what all of a machine share: who takes it."""

import sys
from pathlib import Path

import pytest
from farm.confine import probe
from farm_protocol.runner import JobLimits, SandboxMode
from messages import says

from .in_process import end
from .test_limits import MEGABYTE, attack, in_both_worlds
from .test_unmapped_memory import HELPERS, TCP

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells all of it")
needs_sandbox = pytest.mark.skipif(bool(probe()), reason=probe())

LOCKS = """
import fcntl
for name in range(10):
    kept.append(open(str(name), "w"))
    for at in range(0, 6000, 2):
        fcntl.lockf(kept[-1], fcntl.LOCK_EX, 1, at)
wait()
"""

# Of the table of locks the first processor's come first, and only its beginning is read.
HIDDEN_LOCKS = """
import fcntl
first, *_, last = sorted(os.sched_getaffinity(0))
told, tells = os.pipe()
for number in range(4):
    if not os.fork():
        if number == 3:
            [os.read(told, 1) for _ in range(3)]
        os.sched_setaffinity(0, {last if number == 3 else first})
        for name in range(12 if number == 3 else 15_000):
            kept.append(open(f"{number} {name}", "w"))
            if number < 3:
                fcntl.flock(kept[-1], fcntl.LOCK_SH)
                continue
            for at in range(6000, 0, -2):
                fcntl.lockf(kept[-1], fcntl.LOCK_EX, 1, at)
        os.write(tells, b"x")
        wait()
wait()
"""

SENT = """
pair = socket.socketpair()
kept.append(pair)
socket.send_fds(pair[0], [b"x"], [0] * 100)
wait()
"""

NESTED = """
inner, outer = socket.socketpair(), socket.socketpair()
kept.append(outer)
socket.send_fds(inner[0], [b"x"], [0] * 100)
socket.send_fds(outer[0], [b"x"], [inner[1].fileno()])
[each.close() for each in inner]
wait()
"""


@in_both_worlds
@pytest.mark.parametrize("code", [LOCKS, HIDDEN_LOCKS], ids=["seen", "behind-others"])
def test_who_locks_very_many_parts_of_files_is_ended(
    tmp_path: Path, sandbox: SandboxMode, code: str
) -> None:
    """Some millions of locks held more than a gigabyte of the kernel's own memory."""
    finish = end(attack(tmp_path, HELPERS + code, sandbox, None))
    assert says(finish.message, "renderer-keeps-so-many-files")
    assert finish.permanent


@needs_sandbox
@pytest.mark.parametrize("code", [SENT, NESTED], ids=["sent", "nested"])
def test_who_keeps_files_open_in_sockets_is_ended(tmp_path: Path, code: str) -> None:
    finish = end(attack(tmp_path, HELPERS + code, "required", None))
    assert says(finish.message, "renderer-keeps-files-in-sockets")
    assert finish.permanent


@needs_sandbox
def test_who_takes_the_memory_of_everybodys_connections_is_ended(tmp_path: Path) -> None:
    limits = JobLimits(memory_bytes=1 << 42)
    # What the kernel lets all have without a look; of each connection 10 MB may be on the way.
    pages = int(Path("/proc/sys/net/ipv4/tcp_mem").read_text().split()[0])
    code = TCP.format(pages * 4096 // (10 * MEGABYTE) + 50)
    finish = end(attack(tmp_path, HELPERS + code, "required", limits))
    assert says(finish.message, "renderer-own-connections-hold")
    assert finish.permanent
