"""Whose a socket is. What the kernel says of this process's own sockets; others' need a root."""

import os
import socket
from collections.abc import Iterator

import pytest
from farm_protocol import sockets
from farm_protocol.sockets import (
    Owners,
    _family,
    has_reached_another_user,
    is_another_users,
    owner_of_connection,
    owner_of_listener,
)
from other_users import catcher, needs_others, own_address, stranger

Connected = tuple[socket.socket, socket.socket, tuple[str, int], tuple[str, int]]
"""A listener, who has called it, and both ends of the connection."""

pytestmark = pytest.mark.skipif(not sockets.CAN_TELL, reason="only Linux tells")


@pytest.fixture(params=["sock_diag", "tables"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which the kernel answers."""
    if request.param == "tables":
        monkeypatch.setattr(sockets, "_kernel_answers", lambda: False)
    elif not sockets._kernel_answers():
        pytest.skip("this kernel has no sock_diag")


@pytest.fixture(params=["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def connected(request: pytest.FixtureRequest) -> Iterator[Connected]:
    """A listener, and a socket that is connected to it from an address of any kind."""
    is_v6_only = request.param == "::1"
    family = socket.AF_INET6 if is_v6_only else socket.AF_INET
    with socket.create_server(("::1" if is_v6_only else "127.0.0.1", 0), family=family) as listener:
        port = listener.getsockname()[1]
        calling = socket.AF_INET6 if ":" in request.param else socket.AF_INET
        with socket.socket(calling) as caller:
            caller.connect((request.param, port))
            accepted, peer = listener.accept()
            with accepted:
                yield listener, caller, peer[:2], accepted.getsockname()[:2]


def test_an_open_connection_is_its_makers(way: None, connected: Connected) -> None:
    _, _, peer, own = connected
    assert owner_of_connection(peer, own) == os.geteuid()


def test_a_caller_that_is_bound_to_an_interface_is_known(way: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as caller:
        try:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        except PermissionError:
            pytest.skip("an older system lets only root do that")
        caller.connect(listener.getsockname())
        accepted, peer = listener.accept()
        with accepted:
            assert owner_of_connection(peer, accepted.getsockname()) == os.geteuid()


def test_many_are_asked_about_one_after_the_other(way: None, connected: Connected) -> None:
    """By one socket, whose answers are not mistaken for each other."""
    listener, _, peer, own = connected
    with Owners() as owners:
        for _ in range(3):
            assert owners.of_connection(peer, own) == os.geteuid()
            assert owners.of_connection(own, (own[0], 1)) is None
            assert owners.of_connection(("nonsense", 1), own) is None
            assert owners.of_listener(own) == os.geteuid()
        listener.close()
        assert owners.of_listener(own) is None


def test_a_closed_connection_is_nobodys(way: None, connected: Connected) -> None:
    """Its row says root, or says nothing."""
    _, caller, peer, own = connected
    caller.close()
    assert owner_of_connection(peer, own) is None


def test_a_caller_that_waits_for_the_answer_is_known(way: None, connected: Connected) -> None:
    _, caller, peer, own = connected
    caller.shutdown(socket.SHUT_WR)
    assert owner_of_connection(peer, own) == os.geteuid()


def test_a_connection_is_not_taken_for_a_listener_on_its_port(
    way: None, connected: Connected
) -> None:
    listener, _, _, own = connected
    assert owner_of_connection(own, (own[0], 1)) is None
    assert owner_of_listener(own) == os.geteuid()
    listener.close()
    assert owner_of_listener(own) is None


def test_a_listener_on_all_addresses_is_found(way: None) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        assert owner_of_listener(("127.0.0.1", port)) == os.geteuid()
        assert owner_of_listener(("::1", port)) == os.geteuid()


def test_what_is_no_address_is_nobodys(way: None) -> None:
    assert owner_of_connection(("nonsense", 1), ("127.0.0.1", 2)) is None
    assert owner_of_listener(("localhost", 1)) is None


@needs_others
@pytest.mark.parametrize(
    ("listening", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("::1", "localhost"),
        ("::1", "[::1]"),
        ("127.0.0.1", "0.0.0.0"),
        ("::1", "[::]"),
        ("0.0.0.0", "127.0.0.1"),
        ("own", "own"),
        ("0.0.0.0", "own"),
    ],
)
def test_a_stranger_is_told_however_the_address_is_written(listening: str, asked: str) -> None:
    names = {"own": own_address() if "own" in (listening, asked) else ""}
    with stranger(names.get(listening, listening)) as (port, _):
        assert is_another_users(f"http://{names.get(asked, asked)}:{port}")


@needs_others
def test_others_machines_are_not_looked_at() -> None:
    with stranger("0.0.0.0") as (port, _):
        for host in ("192.0.2.1", "farm.example.com", "[2001:db8::1]"):
            assert not is_another_users(f"http://{host}:{port}")


def test_our_own_listeners_are_no_strangers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            assert not is_another_users(f"http://{host}:{port}")


def test_a_connection_to_our_own_program_has_not_gone_astray(
    way: None, connected: Connected
) -> None:
    peer, own = connected[2:]
    assert not has_reached_another_user(own, peer)
    # One that waits in our queue is as good as accepted, as long as we listen.
    with socket.create_server((own[0], 0), family=_family(own)) as listener:
        there = listener.getsockname()[:2]
        with socket.create_connection(there) as waiting:
            assert not has_reached_another_user(there, waiting.getsockname()[:2])
            listener.close()
            assert has_reached_another_user(there, waiting.getsockname()[:2])


@needs_others
def test_a_connection_that_waits_for_another_user_is_told(way: None) -> None:
    with (
        stranger("127.0.0.1") as (port, _),
        socket.create_connection(("127.0.0.1", port)) as caller,
    ):
        assert has_reached_another_user(("127.0.0.1", port), caller.getsockname())


@needs_others
def test_a_connection_that_another_user_keeps_is_told_though_we_listen_now(way: None) -> None:
    """Whoever has caught one may leave the port to the program for which it was meant."""
    with catcher() as (port, caught):
        there = ("127.0.0.1", port)
        with socket.create_connection(there) as caller:
            caught()
            with socket.create_server(there):
                assert not is_another_users(f"http://127.0.0.1:{port}")
                assert has_reached_another_user(there, caller.getsockname())
