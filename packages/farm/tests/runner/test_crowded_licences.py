"""The way to licence servers while a user has too many files on their way between processes."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from farm.confine import Account, probe
from farm_protocol.runner import LicenceServer, Outcome
from messages import says
from waiting import until

from .fake_farm import FakeFarm
from .in_process import end
from .somebody import folder_of, holding, ordinary_user, processes_of, runner_of
from .test_licence_servers import Server, code_for, servers  # noqa: F401 - a fixture
from .test_limits import attack

pytestmark = pytest.mark.skipif(bool(probe()), reason=probe())

MOST = 200
"""Files that the runner and its helpers may have on their way: as many as they may have open."""
CROWD = """
import array, socket, sys
ours, theirs = socket.socketpair()
files = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 50))
for _ in range(int(sys.argv[1]) // 50 + 1):
    ours.sendmsg([b"x"], [files])
print(flush=True)
sys.stdin.read()
"""


def waits_to_send(user: Account) -> bool:
    """Return whether somebody has made sockets in a sandbox, and still has them."""
    for each in processes_of(user.uid):
        with suppress(psutil.Error, OSError):
            if "licence_sockets.py" not in " ".join(each.cmdline()):
                continue
            folder = Path(f"/proc/{each.pid}")
            inside = not (folder / "ns" / "net").samefile("/proc/self/ns/net")
            held = [str(file.readlink()) for file in (folder / "fd").iterdir()]
            if inside and sum(name.startswith("socket:") for name in held) > 1:
                return True
    return False


def rendered(
    servers: dict[str, Server],  # noqa: F811
    meanwhile: Callable[[Account, "subprocess.Popen[bytes]"], None],
) -> FakeFarm:
    """Render a job whose scene calls all servers, of which one is a licence server's.

    Parameters:
        meanwhile: is called while there are too many files on their way.
    """
    host, port = servers["loopback"].address
    with ordinary_user() as user, folder_of(user) as folder:

        def work_with(farm: FakeFarm) -> None:
            before = ["prlimit", f"--nofile={MOST}:4096", "--"]
            with (
                holding(user, CROWD, MOST) as crowd,
                runner_of(user, folder, farm, before) as process,
            ):
                try:
                    meanwhile(user, crowd)
                    assert process.wait(120) == 0
                finally:
                    process.kill()

        named = [LicenceServer(host=host, port=port)]
        farm = attack(folder, code_for(servers), "auto", None, named, work_with=work_with)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    return farm


def test_a_renderer_waits_for_the_way_to_its_licence_servers(
    servers: dict[str, Server],  # noqa: F811
) -> None:
    def make_room(user: Account, crowd: "subprocess.Popen[bytes]") -> None:
        until(lambda: waits_to_send(user))
        # It does not only pass by.
        assert not psutil.wait_procs([psutil.Process(crowd.pid)], 0.5)[0]
        assert waits_to_send(user)
        crowd.kill()

    farm = rendered(servers, make_room)
    assert "loopback answered loopback got a licence, please" in farm.log


@pytest.mark.long
def test_a_renderer_does_not_wait_for_ever_for_its_licence_servers(
    servers: dict[str, Server],  # noqa: F811
) -> None:
    farm = rendered(servers, lambda user, crowd: None)
    assert says(farm.log, "no-licence-server-can-reached")
    assert "loopback failed" in farm.log
    assert not servers["loopback"].calls
