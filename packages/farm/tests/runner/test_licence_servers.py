"""What a scene reaches over the network: the licence servers that are named, and nothing else."""

import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.confine import probe
from farm.runner.sandbox.licences import hosts_file, relays_to
from farm_protocol.runner import LicenceServer, Outcome
from messages import says

from .in_process import end
from .test_limits import attack

needs_sandbox = pytest.mark.skipif(bool(probe()), reason=probe())

ATTEMPTS = """
import socket

def attempt(what, family, address):
    try:
        with socket.socket(family) as caller:
            caller.settimeout(5)
            caller.connect(address)
            caller.sendall(b"a licence, please\\n")
            print(what, "answered", caller.recv(100).decode())
    except OSError as error:
        print(what, "failed", error)

for what, family, address in {attempts!r}:
    attempt(what, getattr(socket, family), address)
print("devices:", sorted(line.split(":")[0].strip() for line in open("/proc/net/dev"))[2:])
"""


Address = tuple[str, int] | str


class Server:
    """Says who it is to everybody who calls, and counts them."""

    def __init__(self, family: int, address: Address, name: str) -> None:
        self.name, self.calls = name, 0
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.bind(address)
        self._socket.listen()
        self.address = self._socket.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            with connection, contextlib.suppress(OSError):
                asked = connection.recv(100)
                connection.sendall(self.name.encode() + b" got " + asked)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def own_address() -> str:
    """Return an address of this machine that is not the loopback's; "" when it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # Nothing is sent.
        except OSError:
            return ""
        return str(asking.getsockname()[0])


@pytest.fixture
def servers() -> Iterator[dict[str, Server]]:
    """What listens on this machine, and must not be reached."""
    abstract = f"\0render-farm-test-{uuid.uuid4()}"
    wanted: dict[str, tuple[int, Address]] = {
        "loopback": (socket.AF_INET, ("127.0.0.1", 0)),
        "ipv6": (socket.AF_INET6, ("::1", 0)),
        "abstract": (socket.AF_UNIX, abstract),
    }
    if own := own_address():
        wanted["outer"] = (socket.AF_INET, (own, 0))
    made = {}
    for name, (family, address) in wanted.items():
        try:
            made[name] = Server(family, address, name)
        except OSError:
            assert name == "ipv6"  # Not every machine has it.
    yield made
    for each in made.values():
        each.close()


FAMILIES = {"ipv6": "AF_INET6", "abstract": "AF_UNIX"}


def code_for(servers: dict[str, Server]) -> str:
    """Return a scene's program that calls them all."""
    attempts = [
        (name, FAMILIES.get(name, "AF_INET"), server.address) for name, server in servers.items()
    ]
    return ATTEMPTS.format(attempts=attempts)


@needs_sandbox
def test_a_sandbox_without_licence_servers_reaches_nothing(
    tmp_path: Path, servers: dict[str, Server]
) -> None:
    farm = attack(tmp_path, code_for(servers), "required", None)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert "answered" not in farm.log
    assert farm.log.count("failed") == len(servers)
    assert "devices: ['lo']" in farm.log
    assert not any(each.calls for each in servers.values())


def test_the_same_attack_works_without_a_sandbox(
    tmp_path: Path, servers: dict[str, Server]
) -> None:
    farm = attack(tmp_path, code_for(servers), "off", None)
    assert farm.log.count("answered") == len(servers)
    assert all(each.calls == 1 for each in servers.values())


@needs_sandbox
@pytest.mark.parametrize("named", ["loopback", "outer", "ipv6"])
def test_only_the_server_that_is_named_is_reached(
    tmp_path: Path, servers: dict[str, Server], named: str
) -> None:
    if named not in servers:
        pytest.skip("this machine has no such address")
    host, port = servers[named].address[:2]
    farm = attack(
        tmp_path, code_for(servers), "required", None, [LicenceServer(host=host, port=port)]
    )
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert f"{named} answered {named} got a licence, please" in farm.log
    assert {name: each.calls for name, each in servers.items() if each.calls} == {named: 1}


@needs_sandbox
def test_a_server_is_known_by_its_name_inside(tmp_path: Path, servers: dict[str, Server]) -> None:
    port = servers["loopback"].address[1]
    attempts = [("by name", "AF_INET", ("localhost", port))]
    farm = attack(
        tmp_path,
        ATTEMPTS.format(attempts=attempts),
        "required",
        None,
        [LicenceServer(host="localhost", port=port)],
    )
    assert "by name answered loopback got a licence, please" in farm.log


@needs_sandbox
def test_a_name_of_this_machine_leads_to_its_port_and_no_other(
    tmp_path: Path, servers: dict[str, Server]
) -> None:
    name = socket.gethostname()
    try:
        listener = Server(socket.AF_INET, (socket.gethostbyname(name), 0), "named")
    except OSError:
        pytest.skip("this machine does not know its own name")
    attempts = [
        ("the port", "AF_INET", (name, listener.address[1])),
        ("another port", "AF_INET", (name, servers["loopback"].address[1])),
        ("another name", "AF_INET", ("example.org", 80)),
    ]
    farm = attack(
        tmp_path,
        ATTEMPTS.format(attempts=attempts),
        "required",
        None,
        [LicenceServer(host=name.upper(), port=listener.address[1])],
    )
    listener.close()
    assert "the port answered named got a licence, please" in farm.log
    assert "another port failed" in farm.log
    assert "another name failed" in farm.log


PRIVILEGED = """
import socket, os
with socket.create_connection(("localhost", 443), 5) as caller:
    print("reached", caller.getpeername(), "as", os.getuid() == 0 and "root" or "user")
print("capabilities:", [line.split()[1] for line in open("/proc/self/status") if "CapEff" in line])
"""


@needs_sandbox
def test_a_low_port_can_be_that_of_a_licence_server(tmp_path: Path) -> None:
    farm = attack(
        tmp_path, PRIVILEGED, "required", None, [LicenceServer(host="localhost", port=443)]
    )
    assert "reached ('127.0.0.1', 443)" in farm.log
    assert "capabilities: ['0000000000000000']" in farm.log


@needs_sandbox
def test_a_server_that_cannot_be_had_keeps_no_other_away(
    tmp_path: Path, servers: dict[str, Server]
) -> None:
    host, port = servers["loopback"].address
    named = [
        # Nobody has such an address.
        LicenceServer(host="ff02::1", port=4101),
        LicenceServer(host="192.0.2.7", port=4101),
        LicenceServer(host="192.0.2.7", port=4102),
        LicenceServer(host=host, port=port),
    ]
    farm = attack(tmp_path, code_for(servers), "required", None, named)
    assert says(farm.log, "licence-server-cannot-reached", "ff02::1")
    assert not says(farm.log, "licence-server-cannot-reached", "192.0.2.7")
    assert "loopback answered loopback got a licence, please" in farm.log


CALLS_FOR_NOTHING = """
import socket
for _ in range(60):
    with socket.create_connection(("localhost", {port}), 60) as caller:
        assert not caller.recv(1)
"""


@needs_sandbox
def test_a_server_that_is_down_fills_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:  # Bound, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        server = LicenceServer(host="localhost", port=port)
        farm = attack(tmp_path, CALLS_FOR_NOTHING.format(port=port), "required", None, [server])
    assert end(farm).outcome is Outcome.COMPLETED
    told = [each for each in caplog.messages if says(each, "licence-server", "localhost", port)]
    assert len(told) == 1


MANY_CALLS = """
import socket
callers = []
for _ in range(200):
    caller = socket.create_connection(("localhost", {port}), 5)
    caller.settimeout(0.5)
    callers.append(caller)
import time; time.sleep(1)
print("made", len(callers))
"""


@needs_sandbox
def test_calls_without_end_do_not_use_up_the_runner(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=500) as listener:
        port = listener.getsockname()[1]
        farm = attack(
            tmp_path,
            MANY_CALLS.format(port=port),
            "required",
            None,
            [LicenceServer(host="localhost", port=port)],
        )
        assert "made 200" in farm.log
        assert end(farm).outcome is Outcome.COMPLETED
        listener.setblocking(False)
        calls = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
                calls += 1
        assert calls == 64


def test_the_addresses_of_names_and_numbers() -> None:
    servers = [
        LicenceServer(host="Licences.studio", port=5053),
        LicenceServer(host="licences.studio", port=49152),
        LicenceServer(host="second", port=5053),
        LicenceServer(host="10.1.2.3", port=4101),
        LicenceServer(host="fd00::7", port=4101),
        LicenceServer(host="localhost", port=1715),
        LicenceServer(host="127.0.0.1", port=1715),
    ]
    relays = relays_to(servers)
    assert [(each.address, each.port) for each in relays] == [
        ("127.0.0.2", 5053),
        ("127.0.0.2", 49152),
        ("127.0.0.3", 5053),
        ("10.1.2.3", 4101),
        ("fd00::7", 4101),
        ("127.0.0.1", 1715),
    ]
    assert hosts_file(relays) == (
        "127.0.0.1 localhost render\n::1 localhost\n127.0.0.2 licences.studio\n127.0.0.3 second\n"
    )
