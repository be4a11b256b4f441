"""Memory of the kernel that counts as nobody's, and what all of a machine share: who takes it."""

import itertools
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

# Another thread closes the descriptors of what is waited for, which stays open.
POLLED = """
threading.stack_size(65536)
class Waits(ctypes.Structure):
    _fields_ = [("file", ctypes.c_int), ("wanted", ctypes.c_short), ("found", ctypes.c_short)]
def asleep(thread):
    return open(f"/proc/self/task/{thread}/stat").read().rpartition(")")[2].split()[0] == "S"
MANY = 850
for _ in range(700):
    waits = (Waits * MANY)()
    for each in waits:
        each.file = os.open("/proc/self/mounts", os.O_RDONLY)
    thread = threading.Thread(target=kernel.poll, args=(waits, MANY, 60000), daemon=True)
    thread.start()
    while not asleep(thread.native_id):
        time.sleep(0.001)
    for each in waits:
        os.close(each.file)
wait()
"""

# The sockets stay open, and what is in them, in the same way.
LOST = """
class Waits(ctypes.Structure):
    _fields_ = [("file", ctypes.c_int), ("wanted", ctypes.c_short), ("found", ctypes.c_short)]
def asleep(thread):
    return open(f"/proc/self/task/{thread}/stat").read().rpartition(")")[2].split()[0] == "S"
for _ in range(20):
    pair = socket.socketpair()
    socket.send_fds(pair[0], [b"x"], [0] * 100)
    waits = (Waits * 2)(*(Waits(each.fileno()) for each in pair))
    thread = threading.Thread(target=kernel.poll, args=(waits, 2, 60000), daemon=True)
    thread.start()
    while not asleep(thread.native_id):
        time.sleep(0.001)
    [each.close() for each in pair]
wait()
"""

OFTEN = """
while time.monotonic() < BEGIN + 60:
    os.stat("/")
"""

# Many signals that are not taken.
PENDING = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
class Value(ctypes.Structure):
    _fields_ = [("number", ctypes.c_void_p)]
kernel.sigqueue.argtypes = [ctypes.c_int, ctypes.c_int, Value]
number = 0
while number < 20_000 and kernel.sigqueue(os.getpid(), signal.SIGRTMIN, Value(0)) == 0:
    number += 1
print("pending:", number)
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


@in_both_worlds
def test_who_keeps_files_open_by_waiting_for_them_is_ended(
    tmp_path: Path, sandbox: SandboxMode
) -> None:
    """A million of them held 4.4 GB, and two million all that the machine lets be open."""
    finish = end(attack(tmp_path, HELPERS + POLLED, sandbox, None))
    assert says(finish.message, "renderer-keeps-so-many-files")
    assert finish.permanent


@in_both_worlds
@pytest.mark.parametrize(
    ("grows", "by", "message"),
    [
        ("unexplained_bytes", 200 * MEGABYTE, "kernel-memory-attributed"),
        ("open_files", 50_000, "open-files-attributed"),
    ],
)
def test_what_no_look_finds_is_attributed_to_who_takes_the_systems_time(
    tmp_path: Path,
    sandbox: SandboxMode,
    grows: str,
    by: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Others use this machine, too: they must neither hide the renderer's part nor its growth.
    amounts = itertools.count(by, by)
    monkeypatch.setattr(f"farm.runner.limits.backstop.{grows}", lambda: next(amounts))
    monkeypatch.setattr("farm.runner.limits.attribution.LEAST_SHARE", 0)
    limits = JobLimits(memory_bytes=200 * MEGABYTE)
    finish = end(attack(tmp_path, HELPERS + OFTEN, sandbox, limits))
    assert says(finish.message, message)
    assert not finish.permanent


@in_both_worlds
def test_a_claim_takes_no_more_than_a_part_of_its_users_pending_signals(
    tmp_path: Path, sandbox: SandboxMode
) -> None:
    farm = attack(tmp_path, HELPERS + PENDING, sandbox, None)
    told = farm.log.partition("pending:")[2].split()
    assert 0 < int(told[0]) <= 8192


@needs_sandbox
@pytest.mark.parametrize("code", [SENT, NESTED, LOST], ids=["sent", "nested", "lost"])
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
