"""What a confined program may do: real processes, as root and as an ordinary user."""

import ctypes
import errno
import json
import os
import platform
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from farm.confine import (
    Account,
    AccountError,
    View,
    account,
    borrowed,
    bubblewrap,
    drop,
    groups_of,
    is_root,
    opened,
    prefix,
    probe,
)
from farm.confine.system_calls import MACHINES, filter_file, program
from waiting import until

needs_sandbox = pytest.mark.skipif(bool(probe()), reason=probe())
needs_filter = pytest.mark.skipif(filter_file() is None, reason="no filter for this machine")
needs_root = pytest.mark.skipif(not is_root(), reason="only root has rights to give up")
PYTHON = "/usr/bin/python3"
SWITCHES = [
    path
    for path in (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/proc/mtrr",
    )
    if Path(path).exists()
]
SECRETS = [path for path in ("/proc/keys", "/proc/kcore", "/proc/kallsyms") if Path(path).exists()]


def run(line: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


class Inside:
    """A sandbox of this process, or one of an ordinary user."""

    def __init__(self, other: Account | None, of_root: bool) -> None:
        self.of_root = of_root
        self._other = other

    def __call__(self, view: View, code: str) -> "subprocess.CompletedProcess[str]":
        """Run Python code."""
        before = drop(self._other) if self._other is not None and not self.of_root else []
        line = prefix(view, self._other if self.of_root else None)
        return run([*before, *line, PYTHON, "-c", code])


@pytest.fixture(params=["as root", "as a user"])
def inside(request: pytest.FixtureRequest) -> Iterator[Inside]:
    if probe():
        pytest.skip(probe())
    if not Path(PYTHON).exists():
        pytest.skip(f"needs {PYTHON}")
    of_root = request.param == "as root"
    if of_root and not is_root():
        pytest.skip("only root has rights to give up")
    with borrowed() as other:
        yield Inside(other, of_root)


WHO = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(),
    [int(status[f"Cap{each}"], 16) for each in ("Inh", "Prm", "Eff", "Bnd", "Amb")],
    int(status["NoNewPrivs"])]))
"""


def test_a_program_is_nobody_and_gains_nothing(inside: Inside) -> None:
    uids, gids, groups, capabilities, no_new_privileges = json.loads(inside(View(), WHO).stdout)
    assert 0 not in (*uids, *gids, *groups)
    assert capabilities == [0] * 5
    assert no_new_privileges == 1


@needs_root
def test_without_a_sandbox_it_is_nobody_all_the_same() -> None:
    with borrowed() as other:
        assert other is not None
        done = run([*drop(other), PYTHON, "-c", WHO])
    uids, gids, groups, capabilities, no_new_privileges = json.loads(done.stdout)
    assert set(uids) == {other.uid}
    assert set(gids) == {other.gid}
    assert groups == []
    assert capabilities == [0] * 5
    assert no_new_privileges == 1


@pytest.mark.parametrize("path", SWITCHES)
def test_the_switches_of_the_kernel_cannot_be_opened_for_writing(inside: Inside, path: str) -> None:
    # Opened and closed: nothing is written, whoever may. Outside, root may.
    done = inside(View(), f"open({path!r}, 'a').close()")
    assert done.returncode == 1, path
    assert "Error: [Errno" in done.stderr
    if is_root() and path == SWITCHES[0]:
        with open(path, "a"):
            pass


@pytest.mark.parametrize("path", SECRETS)
def test_what_tells_of_the_whole_machine_is_hidden(inside: Inside, path: str) -> None:
    assert inside(View(), f"open({path!r}, 'rb').read(1)").returncode == 1


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


CALLS = """
import ctypes, platform
kernel = ctypes.CDLL(None, use_errno=True)
ours, keys, shared = {"x86_64": (425, 250, 206), "aarch64": (425, 219, 0)}[platform.machine()]
for number in (ours, keys, shared):
    print(kernel.syscall(number, 0, 0, 0, 0, 0), ctypes.get_errno())
"""


@needs_filter
def test_keyrings_ways_around_the_filter_and_shares_of_the_machine_are_refused(
    inside: Inside,
) -> None:
    # What there is of io_setup's asynchronous I/O is for the whole machine.
    assert inside(View(), CALLS).stdout.splitlines() == [f"-1 {errno.ENOSYS}"] * 3


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
"""


@needs_filter
def test_no_thread_has_descriptors_of_its_own(inside: Inside) -> None:
    told = inside(View(), DESCRIPTORS).stdout.splitlines()
    assert told == ["a thread", *["-1 EINVAL"] * 3]


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
print(call(359, 2) >= 0, call(359, 40), call(102, 1))
"""


@needs_filter
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has such a way")
def test_nor_is_there_a_way_around_by_32_bit_calls(inside: Inside) -> None:
    done = inside(View(), COMPATIBLE)
    if done.returncode < 0 or done.returncode > 128:
        pytest.skip("this kernel has no 32-bit calls")
    assert done.stdout == f"True {-errno.EAFNOSUPPORT} {-errno.ENOSYS}\n"


UNCOUNTED = """
import ctypes, errno, platform, socket
kernel = ctypes.CDLL(None, use_errno=True)
calls = {"x86_64": (319, 447, 68, 278, 29, 64), "aarch64": (279, 447, 186, 75, 194, 190)}
file, secret, queue, lend, segment, semaphores = calls[platform.machine()]
def call(*arguments):
    made = kernel.syscall(*map(ctypes.c_long, arguments))
    return "made" if made >= 0 else errno.errorcode[ctypes.get_errno()]
for number in (file, secret, queue, lend):
    print(call(number, 0, 0, 0, 0))
for size in (2**14, 2**14 + 1, 2**32, 2**32 + 1):
    print(call(segment, 0, size, 0o1600))
print(call(semaphores, 0, 16, 0o1600), call(semaphores, 0, 17, 0o1600))
pair = socket.socketpair()
before = [pair[0].getsockopt(1, option) for option in (7, 8)]
[pair[0].setsockopt(1, option, size // 4) for option, size in zip((7, 8), before)]
after = [pair[0].getsockopt(1, option) for option in (7, 8)]
print(after[0] == before[0], after[1] < before[1])
"""
REFUSED = [
    *["ENOSYS"] * 4,
    *["made", "EINVAL", "EINVAL", "EINVAL"],
    *["made EINVAL", "True True"],
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


DEVICES = """
import os, stat
for folder, _, names in os.walk("/dev"):
    for name in names:
        status = os.lstat(os.path.join(folder, name))
        if stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
            print(name)
"""


def test_there_are_no_devices_but_the_harmless_ones(inside: Inside) -> None:
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
    assert set(inside(View(), DEVICES).stdout.split()) <= harmless


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.setuid(0)",
        "import os; os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))",
        "open('/proc/1/mem', 'rb').read(1)",
        "open('/etc/passwd', 'a')",
        "open('/usr/lib/x', 'w')",
        "import os; os.mkdir('/root')",
    ],
)
def test_nothing_of_the_system_is_within_reach(inside: Inside, code: str) -> None:
    assert inside(View(), code).returncode == 1


def test_an_ordinary_users_program_makes_no_namespaces(inside: Inside) -> None:
    if inside.of_root or not bubblewrap._only_namespaces():
        pytest.skip("this bubblewrap cannot keep a program from it")
    code = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000) == 0)"
    assert inside(View(), code).returncode == 0


def test_temporary_files_and_shared_memory_work(inside: Inside) -> None:
    code = "import tempfile; tempfile.TemporaryFile(); tempfile.TemporaryFile(dir='/dev/shm')"
    done = inside(View(), code)
    assert done.returncode == 0, done.stderr


def test_the_account_has_a_name(inside: Inside) -> None:
    done = inside(View(), "import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name)")
    if is_root() and "KeyError" in done.stderr:
        pytest.skip("the line of an ordinary user was made by root here")
    assert done.stdout == "render\n"


@pytest.mark.parametrize("bound", ["file", "folder"])
def test_what_is_given_is_read_in_a_folder_of_roots_too(
    inside: Inside, tmp_path: Path, bound: str
) -> None:
    private = tmp_path / "private"
    (private / "given").mkdir(parents=True)
    (private / "given" / "file").write_text("given")
    (private / "other").write_text("SECRET")
    if inside.of_root:
        private.chmod(0o700)
    given = private / "given" / ("file" if bound == "file" else "")
    code = f"print(open({str(private / 'given' / 'file')!r}).read())"
    assert inside(View(readable=(given,)), code).stdout == "given\n"
    assert inside(View(readable=(given,)), f"open({str(private / 'other')!r})").returncode == 1


@needs_root
@needs_sandbox
def test_out_of_the_sandbox_only_what_is_given_opens(tmp_path: Path) -> None:
    private, shown = tmp_path / "private", tmp_path / "shown"
    (private / "given").mkdir(parents=True)
    private.chmod(0o700)
    (private / "given" / "file").write_text("given")
    (private / "other").write_text("SECRET")
    shown.write_text("everybody's")
    with borrowed() as other:
        assert other is not None
        os.chown(private / "given", other.uid, other.gid)
        view = View(writable=(private / "given",), folder=private / "given")
        line = opened(view, other)
        assert run([*line, "/bin/cat", "file", str(shown)]).stdout == "giveneverybody's"
        assert run([*line, "/bin/sh", "-c", "echo x > new && cat new"]).stdout == "x\n"
        assert run([*line, "/bin/cat", str(private / "other")]).returncode == 1
        assert run([*line, "/bin/sh", "-c", ": >> /proc/sys/kernel/core_pattern"]).returncode != 0
        assert json.loads(run([*line, PYTHON, "-c", WHO]).stdout)[0] == [other.uid] * 3
    assert (private / "other").read_text() == "SECRET"


@needs_root
def test_every_borrower_gets_a_number_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "_NUMBERS", range(61500, 61503))
    with ExitStack() as stack:
        given = [stack.enter_context(borrowed()) for _ in range(3)]
        assert {each.uid for each in given if each} == {61500, 61501, 61502}
        with pytest.raises(AccountError, match="name one with FARM_RENDER_USER"):
            stack.enter_context(borrowed())
    with borrowed() as again:
        assert again is not None
        assert again.own


@needs_root
def test_a_named_account_is_used_and_roots_refused() -> None:
    with borrowed("nobody") as other:
        assert other is not None
        assert (other.uid, other.own) == (65534, False)
    with pytest.raises(AccountError, match="is root"), borrowed("root"):
        pass
    with pytest.raises(AccountError, match="no account 'not-here'"), borrowed("not-here"):
        pass


def test_nobody_is_needed_by_an_ordinary_user() -> None:
    if not is_root():
        with borrowed("whoever") as other:
            assert other is None


def test_a_device_brings_its_group_but_never_roots() -> None:
    device = Path("/dev/tty")
    if not device.exists():
        pytest.skip("needs /dev/tty")
    status = device.stat()
    expected = {status.st_gid} - {0} if status.st_mode & stat.S_IRGRP else set()
    assert groups_of([device]) == expected
    assert 0 not in groups_of([Path("/dev")])


@needs_root
def test_what_is_left_behind_is_ended() -> None:
    with borrowed() as other:
        assert other is not None
        line = [*drop(other), "/bin/sleep", "600"]
        with subprocess.Popen(line, start_new_session=True) as process:
            # It is the account's as soon as it has become `sleep`.
            until(lambda: psutil.Process(process.pid).uids().real == other.uid)
            account.stop_all(other)
            assert process.wait(60) == -9


@needs_root
def test_it_ends_with_its_parent_although_it_became_another() -> None:
    """The kernel forgets that wish when a process changes its account, unless it is told again."""
    other = Account(65534, 65534)
    code = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n));"
    wish = lambda: ctypes.CDLL(None).prctl(1, 9)  # noqa: E731 - PR_SET_PDEATHSIG, SIGKILL
    done = subprocess.run(
        [*drop(other), PYTHON, "-c", f"{code} print(n.value)"],
        preexec_fn=wish,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "9\n"
