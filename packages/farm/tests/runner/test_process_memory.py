"""The memory of processes, as `/proc` reports it: none of it can be put where no look finds it."""

import subprocess
import sys
from pathlib import Path

import pytest
from farm.runner.limits.usage import tree_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells all of it")
MEGABYTE = 2**20

# Each child is about to execute a program with 6 MB of arguments, and waits for ever for another of
# its threads to end: who traces that thread does not let it.
EXECUTING = """
import ctypes, os, resource, sys, threading, time
kernel = ctypes.CDLL(None, use_errno=True)
resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))
arguments = ["x" * 131_000] * 46
def executes(told, tells):
    thread = threading.Thread(target=time.sleep, args=(60,), daemon=True)
    thread.start()
    os.write(tells, str(thread.native_id).encode())
    os.read(told, 1)
    os.execve("/bin/true", arguments, {})
for _ in range(int(sys.argv[1])):
    told, tells, returned, returns = *os.pipe(), *os.pipe()
    if not os.fork():
        executes(returned, tells)
    thread = int(os.read(told, 20))
    if kernel.ptrace(0x4206, thread, None, None):
        sys.exit(f"not traced: {os.strerror(ctypes.get_errno())}")
    os.write(returns, b"x")
    # Its other threads are dead now, or it would not wait for them.
    while open(f"/proc/{thread}/stat").read().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
print("ready", flush=True)
sys.stdin.read(1)
os.killpg(0, 9)
"""
NUMBER = 10


def test_arguments_of_programs_that_never_start_count() -> None:
    """Those of 500 processes held 3 GB of a limit of 512 MB."""
    with subprocess.Popen(
        [sys.executable, "-c", EXECUTING, str(NUMBER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        if child.stdout.readline() != b"ready\n":
            pytest.skip("a container forbids tracing here")
        tree = tree_of(child.pid, 1000, 1)
        executed = sum(each.memory_full_info().pss for each in tree.members)
        child.communicate(b"x")
    assert len(tree.members) == 1 + NUMBER
    assert tree.memory_bytes > executed + NUMBER * 5 * MEGABYTE


STATUS = "Name:\tx\nVmRSS:\t   10 kB\nVmSwap:\t{} kB\nVmPTE:\t  3 kB\n"
SHARES = "Rss:  10 kB\nPss:   6 kB\nPss_Shmem:  1 kB\nSwap:  {} kB\nSwapPss:  {} kB\n"


@pytest.mark.parametrize("shared", [False, True])
def test_memory_that_was_swapped_out_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """Whoever asked for it (`MADV_PAGEOUT`) went beyond any limit, to the whole swap."""
    monkeypatch.setattr("farm.runner.limits.process_memory._PROC", tmp_path)
    # Not this process, which other tests' servers may be below.
    two = "import os, sys\npid = os.fork()\nif pid: print(pid, flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", two], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        for each in (child.pid, int(child.stdout.readline())):
            (tmp_path / str(each)).mkdir()
            (tmp_path / str(each) / "status").write_text(STATUS.format(5000))
            (tmp_path / str(each) / "smaps_rollup").write_text(SHARES.format(5000, 2500))
        # Pages that both have are divided only where the whole is more than they may have.
        tree = tree_of(child.pid, 1000, 1024 if shared else 2**40)
        child.communicate()
    assert len(tree.members) == 2
    each_kilobytes = 6 + 2500 + 3 if shared else 10 + 5000 + 3
    assert tree.memory_bytes == 2 * each_kilobytes * 1024
