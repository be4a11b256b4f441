"""Which system calls a confined program may make: as root and as an ordinary user."""

import errno
import os
import platform
from pathlib import Path

import pytest
from farm.confine import View, borrowed, opened
from farm.confine.system_calls import MACHINES, filter_file, program

from .sandboxes import PYTHON, Inside, needs_root, needs_sandbox, run

needs_filter = pytest.mark.skipif(filter_file() is None, reason="no filter for this machine")


CALLS = """
import ctypes, platform
kernel = ctypes.CDLL(None, use_errno=True)
# io_uring_setup, keyctl, io_setup, inotify_init1, fanotify_init
calls = {"x86_64": (425, 250, 206, 294, 300), "aarch64": (425, 219, 0, 26, 262)}
for number in calls[platform.machine()]:
    print(kernel.syscall(number, 0, 0, 0, 0, 0), ctypes.get_errno())
"""


@needs_filter
def test_keyrings_ways_around_the_filter_and_shares_of_the_machine_are_refused(
    inside: Inside,
) -> None:
    # What there is of io_setup's asynchronous I/O is for the whole machine; and watches on files of
    # the system tell what everybody executes.
    assert inside(View(), CALLS).stdout.splitlines() == [f"-1 {errno.ENOSYS}"] * 5


TRACING = """
import ctypes, errno, os, platform
kernel = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 101, "aarch64": 117}[platform.machine()]
TRACEME, SEIZE = 0, 0x4206
for wanted in (TRACEME, SEIZE):
    print(kernel.syscall(number, wanted, os.getppid(), 0, 0), errno.errorcode[ctypes.get_errno()])
"""


@needs_filter
@pytest.mark.parametrize("watched", [False, True])
def test_nobody_traces_programs(inside: Inside, watched: bool) -> None:
    """Who traces a thread keeps its process from ever executing another program."""
    assert inside(View(watched=watched), TRACING).stdout.splitlines() == ["-1 EPERM"] * 2


PLACES = """
import ctypes, errno, mmap, os, platform
kernel = ctypes.CDLL(None, use_errno=True)
file = os.open("/dev/shm/file", os.O_RDWR | os.O_CREAT)
os.ftruncate(file, 8192)
where = mmap.mmap(file, 8192)
at = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(where)))
# mbind and set_mempolicy_home_node; set_mempolicy, which is about a thread.
mbind, thread = {"x86_64": (237, 238), "aarch64": (235, 237)}[platform.machine()]
for number, arguments in (
    (mbind, (at, ctypes.c_ulong(4096), 2, ctypes.byref(ctypes.c_ulong(1)), ctypes.c_ulong(64), 0)),
    (450, (at, ctypes.c_ulong(4096), ctypes.c_ulong(0), ctypes.c_ulong(0))),
    (thread, (0, None, ctypes.c_ulong(0))),
):
    done = kernel.syscall(number, *arguments)
    print(errno.errorcode[ctypes.get_errno()] if done < 0 else done)
"""


@needs_filter
@pytest.mark.parametrize("watched", [False, True])
def test_no_file_says_of_each_page_where_it_is_to_lie(inside: Inside, watched: bool) -> None:
    """Six million such wishes for files without content held 1.3 GB."""
    told = inside(View(watched=watched), PLACES).stdout.splitlines()
    assert told[:2] == ["ENOSYS", "ENOSYS"]
    assert told[2] in ("0", "ENOSYS")  # A kernel may know of no such places.


NAMESPACES = """
import ctypes, os, platform
kernel = ctypes.CDLL(None, use_errno=True)
USER = 0x10000000
clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
for number, arguments in ((clone, (USER | 17, 0, 0, 0, 0)), (435, (0, 0))):
    if (made := kernel.syscall(number, *arguments)) == 0:
        os._exit(0)
    print(made > 0)
print(kernel.unshare(USER), kernel.unshare(0))
"""


@needs_filter
def test_nobody_gets_capabilities_in_a_namespace_of_their_own(inside: Inside) -> None:
    assert inside(View(), NAMESPACES).stdout.splitlines() == ["False", "False", "-1 0"]


DESCRIPTORS = """
import ctypes, errno, os, platform, threading
kernel = ctypes.CDLL(None, use_errno=True)
clone = {"x86_64": 56, "aarch64": 220}[platform.machine()]
THREAD, FILES = 0x10D00, 0x400
started = threading.Thread(target=print, args=("a thread",))
started.start()
started.join()
def tried(answer):
    print(answer, errno.errorcode.get(ctypes.get_errno()))
tried(kernel.unshare(FILES))
tried(kernel.syscall(436, 1000, 1001, 2))
# Where it is not refused, there are two threads on one stack, and an end at once.
tried(kernel.syscall(clone, THREAD & ~FILES, 0, 0, 0, 0))
# Nor does a process share those of another, which its locks would outlive.
tried(kernel.syscall(clone, FILES | 17, 0, 0, 0, 0))
"""


@needs_filter
def test_no_thread_has_descriptors_of_its_own(inside: Inside) -> None:
    told = inside(View(), DESCRIPTORS).stdout.splitlines()
    assert told == ["a thread", *["-1 EINVAL"] * 4]


LEASE = """
import fcntl, os
file = os.open("/tmp/file", os.O_RDWR | os.O_CREAT)
try:
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
except OSError as error:
    print(error.errno, fcntl.fcntl(file, fcntl.F_GETFD))
"""


@needs_filter
def test_nobody_keeps_others_waiting_who_open_a_file(inside: Inside) -> None:
    assert inside(View(), LEASE).stdout == f"{errno.EINVAL} 1\n"


WAITING = """
import ctypes, errno, platform
kernel = ctypes.CDLL(None, use_errno=True)
files = (ctypes.c_char * 16_384)()
time = (ctypes.c_long * 2)()
# poll, ppoll, select, pselect6; there are no others on ARM.
calls = {"x86_64": [(7, 271), (23, 270)], "aarch64": [(73,), (72,)]}[platform.machine()]
def tried(answer):
    print(errno.errorcode[ctypes.get_errno()] if answer < 0 else answer)
for number in calls[0]:
    for many in (1024, 1025):
        for at in range(many):
            files[8 * at:8 * at + 8] = b"\\xff" * 4 + bytes(4)
        tried(kernel.syscall(number, files, many, 0 if number == 7 else time, 0, 8))
for number in calls[1]:
    for many in (1024, 1025):
        tried(kernel.syscall(number, many, 0, 0, 0, time, 0))
"""


@needs_filter
@pytest.mark.parametrize("watched", [False, True])
def test_nobody_waits_for_very_many_files_at_a_time(inside: Inside, watched: bool) -> None:
    told = inside(View(watched=watched), WAITING).stdout.splitlines()
    assert told[::2] == ["0"] * (len(told) // 2)
    assert set(told[1::2]) == {"EINVAL"}


LOCKS = """
import errno, fcntl, os, struct
file = os.open("/tmp/file", os.O_RDWR | os.O_CREAT)
lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0)
for wanted in (fcntl.F_SETLK, 37, 38):
    try:
        fcntl.fcntl(file, wanted, lock)
        print("locked")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""


@needs_filter
def test_a_file_is_only_locked_where_it_is_told_by_whom(inside: Inside) -> None:
    assert inside(View(), LOCKS).stdout.splitlines() == ["locked", "EINVAL", "EINVAL"]


FILTERS = """
import ctypes, errno, platform, socket, struct
kernel = ctypes.CDLL(None, use_errno=True)
def told(answer):
    return errno.errorcode[ctypes.get_errno()] if answer < 0 else answer
instruction = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)
one = ctypes.create_string_buffer(instruction, len(instruction))
program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(one))
wants = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for option in (26, 50, 51, 52):  # SO_ATTACH_...
    try:
        wants.setsockopt(socket.SOL_SOCKET, option, program)
    except OSError as error:
        print(errno.errorcode[error.errno])
wants.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
# Another level's 26.
socket.socket(socket.AF_INET6).setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
NO_NEW_RIGHTS, SET_FILTER, FILTER, NAME = 38, 22, 2, 15
print(told(kernel.prctl(NAME, b"render", 0, 0, 0)), told(kernel.prctl(NO_NEW_RIGHTS, 1, 0, 0, 0)))
print(told(kernel.prctl(SET_FILTER, FILTER, program, 0, 0)))
number = {"x86_64": 317, "aarch64": 277}[platform.machine()]
print(told(kernel.syscall(number, 1, 0, program)))
"""


@needs_filter
@pytest.mark.parametrize("watched", [False, True])
def test_nobody_uses_up_what_the_machine_has_for_filters(inside: Inside, watched: bool) -> None:
    """9,769 sockets took all of it: then no sandbox started on the whole machine."""
    done = inside(View(watched=watched), FILTERS)
    told = [*["ENOPROTOOPT"] * 4, "0 0", "EINVAL", "ENOSYS"]
    assert done.stdout.splitlines() == told, done.stderr


COMPATIBLE = """
import ctypes, mmap, struct
# socket(family, SOCK_STREAM, 0) by the 32-bit way to call the kernel.
def call(number, family):
    code = b"\\x53\\xb8" + struct.pack("<I", number) + b"\\xbb" + struct.pack("<I", family)
    code += b"\\xb9" + struct.pack("<I", 1) + b"\\xba" + bytes(4) + b"\\xcd\\x80\\x5b\\xc3"
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    where = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int32)(where)()
print(call(359, 2) >= 0, call(359, 40), call(102, 1), call(354, 1), call(172, 22), call(226, 0))
"""


@needs_filter
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has such a way")
def test_nor_is_there_a_way_around_by_32_bit_calls(inside: Inside) -> None:
    done = inside(View(), COMPATIBLE)
    if done.returncode < 0 or done.returncode > 128:
        pytest.skip("this kernel has no 32-bit calls")
    refused = (
        *(errno.EAFNOSUPPORT, errno.ENOSYS, errno.ENOSYS, errno.EINVAL),
        errno.ENOTSUP,
    )
    assert done.stdout == f"True {' '.join(str(-each) for each in refused)}\n"


ACCESS_LISTS = """
import ctypes, errno, os, platform, shutil, struct, sys
def entry(tag, who=0xFFFFFFFF):
    return struct.pack("<HHI", tag, 7, who)
everybody = struct.pack("<I", 2) + entry(1) + entry(2, os.getuid()) * 8000 + entry(4)
everybody += entry(16) + entry(32)
def told(call, *arguments, **others):
    try:
        call(*arguments, **others)
        print("set")
    except OSError as error:
        print(errno.errorcode[error.errno])
for folder in ("/tmp", "/dev/shm"):
    name = f"{folder}/here"
    os.mkdir(name)
    for kind in ("access", "default"):
        told(os.setxattr, name, f"system.posix_acl_{kind}", everybody)
    told(os.setxattr, name, "system.posix_acl_access", everybody, follow_symlinks=False)
    opened = os.open(name, os.O_RDONLY)
    told(os.setxattr, opened, "system.posix_acl_access", everybody)
    told(os.setxattr, name, "user.x", b"x")
kernel = ctypes.CDLL(None, use_errno=True)
kernel.syscall(463, -100, b"/tmp/here", 0, b"user.x", None, 0)
print(errno.errorcode[ctypes.get_errno()])
copied = shutil.copy2(sys.argv[1], "/tmp/copied")
print(open(copied).read(), os.listxattr(sys.argv[1]), os.listxattr(copied))
"""


@needs_filter
@pytest.mark.parametrize("watched", [False, True])
def test_access_lists_hold_no_memory_and_files_are_copied_without(
    inside: Inside, watched: bool, tmp_path: Path
) -> None:
    """Those of 24,000 folders held 3.8 GB, of which a control group counts nothing either."""
    made = tmp_path / "made"
    made.write_text("kept")
    os.setxattr(made, "user.x", b"x")
    code = ACCESS_LISTS.replace("sys.argv[1]", repr(str(made)))
    done = inside(View(readable=(made,), watched=watched), code)
    assert done.stdout.splitlines() == [*["ENOTSUP"] * 10, "ENOSYS", "kept ['user.x'] []"], (
        done.stderr
    )


NOTICES = """
import errno, fcntl, os
folder = os.open("/usr/bin", os.O_RDONLY)
try:
    print(fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_MULTISHOT))
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@needs_filter
def test_nobody_is_told_what_others_execute_by_an_old_way_either(inside: Inside) -> None:
    assert inside(View(), NOTICES).stdout == "EINVAL\n"


SESSIONS = """
import os, subprocess, sys
before = os.getsid(0)
if not (child := os.fork()):
    os.setsid()
    print(os.getsid(0) == before, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(subprocess.check_output(["/bin/echo", "started"], start_new_session=True, text=True))
"""


@needs_filter
def test_a_renderer_has_one_session_however_often_it_asks(inside: Inside) -> None:
    """With one for each of 1,000 busy processes, the farm's answers took 50 times as long."""
    assert inside(View(), SESSIONS).stdout == "True\nstarted\n\n"


NEW = """
import ctypes, errno
kernel = ctypes.CDLL(None, use_errno=True)
def told(made):
    return "made" if made >= 0 else errno.errorcode[ctypes.get_errno()]
def call(*arguments):
    return told(kernel.syscall(*map(ctypes.c_long, arguments)))
def option(*arguments):
    return told(kernel.prctl(*map(ctypes.c_long, arguments)))
"""
UNKNOWN = """
# landlock_create_ruleset (which version?), memfd_secret, and one that no kernel has yet.
print(call(444, 0, 0, 1), call(447, 0), call(900))
# A gigabyte for what waits (PR_FUTEX_HASH), how much there is, and what no kernel has yet.
print(option(78, 1, 1 << 24, 0, 0), option(78, 2, 0, 0, 0), option(900, 0, 0, 0, 0))
"""
KNOWN = """
# pidfd_open, getxattrat, no new privileges, and PR_GET_AUXV.
place = ctypes.create_string_buffer(4096)
print(call(434, 1, 0), call(464, -100, 0, 0, 0, 0, 0), option(39, 0, 0, 0, 0))
print(option(0x41555856, ctypes.addressof(place), len(place), 0, 0))
"""


@needs_filter
@pytest.mark.parametrize("watched", [False, True])
def test_what_kernels_learn_is_allowed_only_where_it_is_known(
    inside: Inside, watched: bool
) -> None:
    """One prctl took a gigabyte that counted as nobody's, between two looks."""
    view = View(watched=watched)
    refused = "ENOSYS ENOSYS ENOSYS\nEINVAL EINVAL EINVAL\n"
    assert inside(view, NEW + UNKNOWN).stdout == refused
    assert inside(view, NEW + KNOWN).stdout == run([PYTHON, "-c", NEW + KNOWN]).stdout != ""


UNCOUNTED = """
import ctypes, errno, platform
kernel = ctypes.CDLL(None, use_errno=True)
machine = platform.machine()
segment, semaphores = {"x86_64": (29, 64), "aarch64": (194, 190)}[machine]
# memfd_create, msgget, vmsplice, splice, tee, sendfile
without = {"x86_64": (319, 68, 278, 275, 276, 40), "aarch64": (279, 186, 75, 76, 77, 71)}
def call(*arguments):
    made = kernel.syscall(*map(ctypes.c_long, arguments))
    return "made" if made >= 0 else errno.errorcode[ctypes.get_errno()]
for number in without[machine]:
    print(call(number, 0, 0, 0, 0))
for size in (2**14, 2**14 + 1, 2**32, 2**32 + 1):
    print(call(segment, 0, size, 0o1600))
print(call(semaphores, 0, 16, 0o1600), call(semaphores, 0, 17, 0o1600))
"""
REFUSED = [
    *["ENOSYS"] * 6,
    *["made", "EINVAL", "EINVAL", "EINVAL"],
    "made EINVAL",
]


@needs_filter
def test_where_nobody_counts_memory_none_is_had_that_cannot_be_seen(inside: Inside) -> None:
    assert inside(View(watched=True), UNCOUNTED).stdout.splitlines() == REFUSED
    assert "ENOSYS" not in inside(View(), UNCOUNTED).stdout.splitlines()[0]


@needs_filter
@needs_root
@needs_sandbox
def test_nor_is_it_where_roots_renderers_have_no_sandbox() -> None:
    with borrowed() as other:
        assert other is not None
        done = run([*opened(View(watched=True), other), PYTHON, "-c", UNCOUNTED])
    assert done.stdout.splitlines() == REFUSED


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_is_what_the_program_writes(machine: str, watched: bool) -> None:
    file = filter_file(machine, watched)
    assert file is not None
    assert file.read_bytes() == program(machine, watched)
