"""Confined programs that turn against bubblewrap so as to outlive it: real, hostile processes."""

import os
import platform
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from farm.confine import View, drop, prefix, probe, stop_all
from runner.somebody import nothing_left, ordinary_user, processes_of

PYTHON = "/usr/bin/python3"

# It traces the first process inside, has it forget its parent, and leaves a child behind.
FORGETTING = """
import ctypes, os, time

SEIZE, INTERRUPT, REGISTERS, SET_REGISTERS, STEP, DETACH = 0x4206, 0x4207, 12, 13, 9, 17
RAX, RSI, RDI, ORIGINAL_RAX, RIP = 10, 13, 14, 15, 16  # sys/user.h
ANY_CHILD, PRCTL, SET_PDEATHSIG = 0x40000000, 157, 1
kernel = ctypes.CDLL(None, use_errno=True)

def trace(request, data=None):
    if kernel.ptrace(ctypes.c_long(request), ctypes.c_long(1), None, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")

Registers = ctypes.c_ulonglong * 27
trace(SEIZE)
trace(INTERRUPT)
os.waitpid(1, ANY_CHILD)
saved = Registers()
trace(REGISTERS, saved)
call = Registers(*saved)
call[RIP] -= 2  # Once more the system call that it waits in.
call[RAX], call[ORIGINAL_RAX], call[RDI], call[RSI] = PRCTL, 2**64 - 1, SET_PDEATHSIG, 0
trace(SET_REGISTERS, call)
trace(STEP)
os.waitpid(1, ANY_CHILD)
trace(REGISTERS, call)
trace(SET_REGISTERS, saved)
trace(DETACH)
print(call[RAX], flush=True)
if not os.fork():
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for each in range(3):
        os.dup2(null, each)
    time.sleep(30)
"""


@pytest.mark.skipif(bool(probe()), reason=probe())
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the attack knows x86-64's registers")
@pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"needs {PYTHON}")
def test_nothing_outlives_the_sandbox_of_an_ordinary_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where there is a filter, it refuses this way already.
    monkeypatch.setattr("farm.confine.bubblewrap._filter_file", lambda _: os.devnull)
    said = tmp_path / "said"
    with ordinary_user() as user, said.open("w") as output:
        line = [*drop(user), *prefix(View(), None), PYTHON, "-c", FORGETTING]
        with nothing_left(user, seconds=10):
            # To a file: bubblewrap's first process would keep a pipe open.
            subprocess.run(line, stdout=output, stderr=output, timeout=60, cwd="/", check=False)
            assert said.read_text() == "0\n"


# It stops whoever becomes its account, for half a minute.
STOPPING = """
import os, signal, time
print(flush=True)
until = time.monotonic() + 30
while time.monotonic() < until:
    try:
        os.kill(-1, signal.SIGSTOP)
    except ProcessLookupError:
        pass
"""


@pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"needs {PYTHON}")
def test_who_ends_an_accounts_processes_is_not_stopped_by_them() -> None:
    with ordinary_user() as user:
        line = [*drop(user), PYTHON, "-c", STOPPING]
        with subprocess.Popen(line, stdout=subprocess.PIPE) as left:
            assert left.stdout is not None
            left.stdout.readline()
            ending = threading.Thread(target=stop_all, args=[user])
            ending.start()
            try:
                ending.join(60)
                assert not ending.is_alive()
                assert left.wait(60) == -signal.SIGKILL
            finally:
                for each in processes_of(user.uid):
                    each.kill()
                ending.join()
