"""Memory and disk that no look at a process or a folder finds: real processes that hold some."""

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from farm.confine import Account, is_root, probe
from farm.runner.limits.cgroups import usable
from farm.runner.limits.holdings import holdings_of
from farm_protocol.runner import JobLimits, Outcome, SandboxMode
from messages import says
from waiting import until

from .in_process import end
from .somebody import attack_as, folder_of, ordinary_user
from .test_limits import MEGABYTE, attack, in_both_worlds, left_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells all of it")
needs_sandbox = pytest.mark.skipif(bool(probe()), reason=probe())
watched = pytest.mark.skipif(usable(), reason="a control group counts memory here")

HELPERS = """
import array, ctypes, mmap, os, socket, threading, time

kernel = ctypes.CDLL(None, use_errno=True)
kept = []

def fill(file, megabytes=800):
    for _ in range(megabytes):
        os.write(file, b"x" * 2**20)
"""

PIPES = """
for _ in range(8000):
    kept.append(os.pipe())
    os.set_blocking(kept[-1][1], False)
    try:
        if len(kept) < 65:
            import fcntl
            fcntl.fcntl(kept[-1][1], 1031, 2**20)
        while True:
            os.write(kept[-1][1], b"x" * 4096)
    except (BlockingIOError, PermissionError):
        pass
wait()
"""

SOCKETS = """
for _ in range(3000):
    pair = socket.socketpair()
    kept.append(pair[1])
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**22)
    pair[0].setblocking(False)
    try:
        while True:
            pair[0].send(b"x" * 65536)
    except BlockingIOError:
        pass
wait()
"""

UNACCEPTED = """
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0here")
listener.listen(4096)
for _ in range(3000):
    one = socket.socket(socket.AF_UNIX)
    one.connect("\\0here")
    one.setblocking(False)
    try:
        while True:
            one.send(b"x" * 65536)
    except BlockingIOError:
        one.close()
wait()
"""

# Nobody takes what is sent, after buffers have grown.
TCP = """
listener = socket.create_server(("127.0.0.1", 0))
for _ in range({}):
    one = socket.create_connection(listener.getsockname())
    kept.append((one, listener.accept()[0]))
    one.setblocking(False)
    for _ in range(400):
        try:
            while True:
                one.send(b"x" * 65536)
        except BlockingIOError:
            kept[-1][1].recv(262144)
wait()
"""

GIVEN_UP = """
size = 800 * 2**20
kernel.mmap.restype = ctypes.c_void_p
where = kernel.mmap(None, ctypes.c_size_t(size), 3, 0x21, -1, ctypes.c_long(0))
for at in range(0, size, 2**20):
    ctypes.memset(where + at, 1, 2**20)
    if at:
        kernel.munmap(ctypes.c_void_p(where + at), ctypes.c_size_t(2**20))
wait()
"""

TABLES = """
size = 2**40
kernel.mmap.restype = ctypes.c_void_p
where = kernel.mmap(None, ctypes.c_size_t(size), 1, 0x4022, -1, ctypes.c_long(0))
kernel.madvise(ctypes.c_void_p(where), ctypes.c_size_t(size), 15)
for at in range(0, size, 2**21):
    ctypes.string_at(where + at, 1)
wait()
"""

LONG_NAMED_MAPPINGS = """
path = "/".join(["d" * 200] * 12)
os.makedirs(path)
file = os.open(path + "/" + "f" * 200, os.O_RDWR | os.O_CREAT)
os.ftruncate(file, 8192)
kernel.mmap.restype = ctypes.c_void_p
for number in range(60_000):
    kernel.mmap(None, ctypes.c_size_t(4096), 1, 1, file, ctypes.c_long(4096 * (number % 2)))
for _ in range(3):
    if not os.fork():
        wait()
wait()
"""

# Nothing is in them: what their names and their records take counts all the same.
EMPTY_FILES = """
for number in range(300_000):
    os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
wait()
"""

# These would count as no more than an empty file.
ATTRIBUTES = """
import struct
entry = lambda tag, who=0xFFFFFFFF: struct.pack("<HHI", tag, 7, who)
everybody = struct.pack("<I", 2) + entry(1) + entry(2, os.getuid()) * 8000 + entry(4)
everybody += entry(16) + entry(32)
for number in range(3000):
    os.mkdir(f"/tmp/{number}")
    for name in ("posix_acl_access", "posix_acl_default"):
        os.setxattr(f"/tmp/{number}", f"system.{name}", everybody)
wait()
"""

WATCHES = """
import select
ends = [os.eventfd(0) for _ in range(600)]
for _ in range(300):
    kept.append(select.epoll())
    for each in ends:
        kept[-1].register(each, 0)
wait()
"""

TOLD = """
for _ in range({}):
    kept.append(open("/proc/self/{}"))
    kept[-1].read(1)
wait()
"""

TEMPORARY = """
for folder in ("/tmp", "/dev/shm"):
    for _ in range(2):
        file = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
        kept.append(file)
        try:
            fill(file, 30)
        except OSError:
            pass
kept.append(bytearray(b"x" * 260 * 2**20))
wait()
"""

NAMELESS = """
for number in range(30):
    kept.append(os.open("big", os.O_CREAT | os.O_RDWR, 0o600))
    os.unlink("big")
    fill(kept[-1], 10)
wait()
"""

MAPPED = """
for number in range(30):
    file = os.open("big", os.O_CREAT | os.O_RDWR, 0o600)
    os.unlink("big")
    fill(file, 10)
    kept.append(mmap.mmap(file, 0))
    os.close(file)
wait()
"""

# A filter refuses it in a sandbox: there the thread has its process's descriptors.
IN_A_THREAD = """
def hold():
    kernel.unshare(0x400)
    {}

threading.Thread(target=hold).start()
wait()
"""

# The process goes on, although its first thread has ended.
WITHOUT_A_FIRST_THREAD = """
def hold():
    {}

if not os.fork():
    threading.Thread(target=hold).start()
    kernel.syscall({{"x86_64": 60, "aarch64": 93}}[os.uname().machine], 0)
wait()
"""

ONE_PAGE_MAPPED = """
for number in range(30):
    file = os.open("big", os.O_CREAT | os.O_RDWR, 0o600)
    fill(file, 10)
    # Python's own would keep the file open.
    kernel.mmap(None, ctypes.c_size_t(4096), 1, 1, file, ctypes.c_long(0))
    os.close(file)
    os.unlink("big")
wait()
"""

# How much of it there is may only root ask. Then some looks follow.
ONE_SHARED_PAGE = """
kernel.mmap(None, ctypes.c_size_t(4096), 3, 0x21, -1, ctypes.c_long(0))
open(FOLDER + "/begun", "w").close()
while not os.path.exists(FOLDER + "/shared"):
    time.sleep(0.1)
time.sleep(2)
"""

HIDING = """
kernel.prctl(4, 0)
"""


def inside(code: str, what: str) -> str:
    """Put lines where a thread is to run them."""
    return code.format(textwrap.indent(what, "    "))


OF_MEMORY = {
    "pipes": (PIPES, 128),
    "sockets": (SOCKETS, 300),
    "connections-that-nobody-takes": (UNACCEPTED, 300),
    "tcp": (TCP.format(30), 100),
    "shared-and-unmapped": (GIVEN_UP, 300),
    "page-tables": (TABLES, 300),
    "files-in-memory": (TEMPORARY, 300),
    "empty-files-in-memory": (EMPTY_FILES, 150),
    "pipes-of-a-thread": (inside(IN_A_THREAD, PIPES), 128),
    "pipes-without-a-first-thread": (inside(WITHOUT_A_FIRST_THREAD, PIPES), 128),
}


@watched
@needs_sandbox
@pytest.mark.parametrize(("code", "megabytes"), OF_MEMORY.values(), ids=OF_MEMORY)
def test_memory_that_no_process_maps_counts(tmp_path: Path, code: str, megabytes: int) -> None:
    limits = JobLimits(memory_bytes=megabytes * MEGABYTE)
    finish = end(attack(tmp_path, HELPERS + code, "required", limits))
    assert finish.outcome is Outcome.FAILED
    assert says(finish.message, "renderer-used-more-than-memory", f"{megabytes} MB")
    assert not finish.permanent
    until(lambda: not left_of(tmp_path))


@needs_sandbox
def test_access_lists_of_files_in_memory_are_not_to_be_had(tmp_path: Path) -> None:
    farm = attack(
        tmp_path, HELPERS + ATTRIBUTES, "required", JobLimits(memory_bytes=MEGABYTE * 200)
    )
    assert f"[Errno {errno.ENOTSUP}]" in farm.log, end(farm).message


def test_who_maps_so_much_that_looking_takes_long_is_ended(tmp_path: Path) -> None:
    finish = end(attack(tmp_path, HELPERS + LONG_NAMED_MAPPINGS, "off", None))
    assert (finish.outcome, finish.permanent) == (Outcome.FAILED, True)


@in_both_worlds
def test_who_takes_what_all_programs_of_a_user_share_for_waiting_is_ended(
    tmp_path: Path, sandbox: SandboxMode
) -> None:
    finish = end(attack(tmp_path, HELPERS + WATCHES, sandbox, None))
    assert says(finish.message, "renderer-keeps-so-many-files")
    assert finish.permanent


@in_both_worlds
@pytest.mark.parametrize(("file", "number"), [("fdinfo/0", 12), ("stat", 1200)])
def test_who_keeps_open_what_the_kernel_has_told_of_it_is_ended(
    tmp_path: Path, sandbox: SandboxMode, file: str, number: int
) -> None:
    """180 descriptions of 80,000 watches each held 1.4 GB."""
    finish = end(attack(tmp_path, HELPERS + TOLD.format(number, file), sandbox, None))
    assert says(finish.message, "renderer-keeps-so-many-files")
    assert finish.permanent


def is_about_the_disk(message: str, allowed: str) -> bool:
    """Whether a renderer has exceeded what its machine type allows."""
    found = ("renderer-wrote-too-much", "disk-use-unexplained")
    return any(says(message, each, allowed) for each in found)


FILES = {
    "open": NAMELESS,
    "mapped": MAPPED,
    "in-a-thread": inside(IN_A_THREAD, NAMELESS),
    "without-a-first-thread": inside(WITHOUT_A_FIRST_THREAD, NAMELESS),
    "mapped-without-a-first-thread": inside(WITHOUT_A_FIRST_THREAD, MAPPED),
}


@in_both_worlds
@pytest.mark.parametrize("code", FILES.values(), ids=FILES)
def test_files_without_a_name_count_as_disk(
    tmp_path: Path, sandbox: SandboxMode, code: str
) -> None:
    finish = end(attack(tmp_path, HELPERS + code, sandbox, JobLimits(disk_bytes=200 * MEGABYTE)))
    assert finish.outcome is Outcome.FAILED
    assert is_about_the_disk(finish.message, "200 MB")
    assert finish.permanent


@pytest.fixture
def somebody() -> Iterator[Account]:
    with ordinary_user() as account:
        yield account


@watched
@needs_sandbox
def test_an_ordinary_users_farm_counts_what_only_root_may_look_at(somebody: Account) -> None:
    limits = JobLimits(memory_bytes=300 * MEGABYTE)
    outcome, message, _ = attack_as(somebody, HELPERS + GIVEN_UP, limits)
    assert outcome == Outcome.FAILED
    assert says(message, "renderer-used-more-than-memory", "300 MB")


@watched
def test_nor_is_a_scene_ended_for_the_shared_memory_of_another(somebody: Account) -> None:
    limits = JobLimits(memory_bytes=300 * MEGABYTE)
    with folder_of(somebody) as folder, ThreadPoolExecutor() as pool:
        code = HELPERS + ONE_SHARED_PAGE.replace("FOLDER", repr(str(folder)))
        rendered = pool.submit(attack_as, somebody, code, limits, "off")
        until(lambda: (folder / "begun").exists() or rendered.done())
        other = os.memfd_create("other")
        try:
            for _ in range(400):
                os.write(other, bytes(MEGABYTE))
            (folder / "shared").touch()
            outcome, message, _ = rendered.result()
        finally:
            os.close(other)
    assert outcome == Outcome.COMPLETED, message


@in_both_worlds
def test_nor_does_who_maps_one_page_of_a_file_hide_the_rest_from_it(
    somebody: Account, sandbox: SandboxMode
) -> None:
    limits = JobLimits(disk_bytes=100 * MEGABYTE)
    outcome, message, _ = attack_as(somebody, HELPERS + ONE_PAGE_MAPPED, limits, sandbox)
    assert outcome == Outcome.FAILED
    assert is_about_the_disk(message, "100 MB")


@watched
@needs_sandbox
def test_who_hides_from_an_ordinary_users_farm_is_ended(somebody: Account) -> None:
    limits = JobLimits(memory_bytes=128 * MEGABYTE)
    outcome, message, _ = attack_as(somebody, HELPERS + HIDING + PIPES, limits)
    assert outcome == Outcome.FAILED
    assert says(message, "renderer-hides-open-files")


@watched
@needs_sandbox
def test_who_hides_from_roots_farm_is_counted_all_the_same(tmp_path: Path) -> None:
    if not is_root():
        pytest.skip("needs root")
    limits = JobLimits(memory_bytes=300 * MEGABYTE)
    finish = end(attack(tmp_path, HELPERS + HIDING + GIVEN_UP, "required", limits))
    assert says(finish.message, "renderer-used-more-than-memory", "300 MB")


ONCE = """
import os, sys
file = os.memfd_create("kept")
os.write(file, b"x" * 2**20)
again = os.dup(file)
pipes = [os.pipe() for _ in range(50)]
for number in range(2):
    if not os.fork():
        break
os.write(1, b"ready\\n")
sys.stdin.read(1)
"""


def test_what_several_processes_hold_counts_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ONCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert [child.stdout.readline() for _ in range(3)] == [b"ready\n"] * 3
        alone = holdings_of([child.pid], 0, sandboxed=False)
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        pids = [child.pid, *map(int, children)]
        together = holdings_of(pids, 0, sandboxed=False)
        child.communicate(b"x" * 3)
    assert alone.shared_bytes == together.shared_bytes == MEGABYTE
    assert alone.buffer_bytes == together.buffer_bytes
    assert 100 < alone.count < together.count
    # Whatever there is of pipes, they hold a page at least.
    assert alone.buffer_bytes > 50 * 4096


ENDING = """
import ctypes, os, signal, sys
kernel = ctypes.CDLL(None)
NETWORK, PROCESSES = 0x40000000, 0x20000000
assert kernel.unshare(NETWORK | PROCESSES) == 0
told, tells = os.pipe()
if not (first := os.fork()):
    os.read(told, 1)
    os._exit(0)
# The first process of a namespace does not end before the others are waited for.
if not (other := os.fork()):
    signal.pause()
os.write(tells, b"x")
os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
print(first, flush=True)
sys.stdin.read(1)
"""


@pytest.mark.skipif(not is_root(), reason="only root makes a namespace without a sandbox")
def test_who_takes_long_to_end_hides_nothing() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        ending = int(child.stdout.readline())
        found = holdings_of([child.pid, ending], 0, sandboxed=True)
        child.communicate(b"x")
    assert not found.hidden
    assert found.count > 0


APART = """
import ctypes, os, sys, threading
done = threading.Event()
def hold():
    ctypes.CDLL(None).unshare(0x400)
    os.write(os.memfd_create("kept"), b"x" * 2**20)
    os.write(1, b"ready\\n")
    done.wait()
threading.Thread(target=hold).start()
sys.stdin.read(1)
done.set()
"""


@pytest.mark.parametrize("told", [True, False], ids=["told", "not-told"])
def test_what_only_one_thread_has_open_counts(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not told:  # As where a container forbids kcmp(2).
        monkeypatch.setattr("farm.runner.limits.threads._KCMP", None)
    with subprocess.Popen(
        [sys.executable, "-c", APART], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        held = holdings_of([child.pid], 0, sandboxed=False)
        child.communicate(b"x")
    assert held.shared_bytes == MEGABYTE
