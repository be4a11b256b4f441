"""What a confined program may do: real processes, as root and as an ordinary user."""

import ctypes
import json
import os
import stat
import subprocess
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
)
from messages import saying
from waiting import until

from .sandboxes import PYTHON, Inside, needs_root, needs_sandbox, run

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


HIDDEN = """
import os
print(os.listdir("/usr/share"))
for path in ("/usr/share/memory", "/usr/share/given/memory"):
    try:
        open(path, "w").close()
        print("written")
    except OSError:
        print("refused")
"""


def test_what_hides_a_folder_is_no_place_to_keep_memory(inside: Inside) -> None:
    given = ((Path("/usr/bin/true"), Path("/usr/share/given/true")),)
    done = inside(View(hidden=(Path("/usr/share"),), files=given), HIDDEN)
    assert done.stdout.splitlines() == ["['given']", "refused", "refused"]


TERMINAL = """
import os
for opens in (os.openpty, lambda: os.open("/dev/ptmx", os.O_RDWR)):
    try:
        opens()
        print("opened")
    except OSError:
        print("refused")
"""


def test_nobody_takes_the_terminals_of_the_machine(inside: Inside) -> None:
    assert inside(View(), TERMINAL).stdout.splitlines() == ["refused"] * 2


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
        with pytest.raises(AccountError, check=saying("machine-no-account-left-between")):
            stack.enter_context(borrowed())
    with borrowed() as again:
        assert again is not None
        assert again.own


@needs_root
def test_a_named_account_is_used_and_roots_refused() -> None:
    with borrowed("nobody") as other:
        assert other is not None
        assert (other.uid, other.own) == (65534, False)
    with (
        pytest.raises(AccountError, check=saying("account-root-roots-group-name", "root")),
        borrowed("root"),
    ):
        pass
    with (
        pytest.raises(AccountError, check=saying("machine-no-account", "not-here")),
        borrowed("not-here"),
    ):
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
