"""What is meant for Envoy is sent to nobody else's program. Real listeners of another user."""

import socket

import pytest
from envoy_stand_in import StandIn
from gridmarkets import APIError, EnvoyClient, _listeners, _requestor
from messages import saying
from other_users import OTHER, catcher, needs_others, stranger


def test_the_wire_is_as_it_was(envoy: StandIn) -> None:
    """The address is a number by now, the Host header what scripts have always sent."""
    client = EnvoyClient(url=envoy.url)
    client.get_user_info()
    assert envoy.hosts == [envoy.url.split("//")[1]]
    assert client.url == envoy.url


@needs_others
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "LOCALHOST"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_stranger_on_the_port_of_an_envoy_that_is_down_gets_nothing(host: str, name: str) -> None:
    with stranger(host) as (port, came):
        client = EnvoyClient("ann@example.com", "secret", url=f"http://{name}:{port}")
        with pytest.raises(
            APIError,
            check=saying("program-of-another-user", OTHER),
        ):
            client.get_user_info()
        with pytest.raises(APIError):
            client.http_client.request("POST", "/auth", {"AccessKey": "secret"})
    assert came == ["nobody came"]


@needs_others
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1"])
def test_a_stranger_who_comes_after_the_look_gets_nothing(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Envoy listens when the client looks, and another user does when it connects."""
    monkeypatch.setattr(_requestor, "stranger_at", lambda *_: None)
    with stranger(host) as (port, came):
        client = EnvoyClient(
            "ann@example.com",
            "secret",
            url=f"http://{'[::1]' if host == '::1' else 'localhost'}:{port}",
        )
        with pytest.raises(APIError, check=saying("program-of-another-user", OTHER)):
            client.get_user_info()
    assert came == ["caught b''"]


@needs_others
def test_a_stranger_who_has_left_the_port_to_envoy_again_is_known() -> None:
    with catcher() as (port, caught):
        there = ("127.0.0.1", port)
        with socket.create_connection(there) as caller:
            caught()
            with socket.create_server(there):
                assert _listeners.stranger_at(*there) is None
                assert _listeners.stranger_behind(caller) == OTHER


@needs_others
@pytest.mark.parametrize("rest", ["?x", "#x", "/x?y#z"])
def test_a_stranger_gets_nothing_however_the_address_ends(rest: str) -> None:
    with stranger("127.0.0.1") as (port, came):
        client = EnvoyClient(url=f"http://localhost:{port}")
        with pytest.raises(APIError, check=saying("program-of-another-user", OTHER)):
            client.http_client.request("GET", f"{client.url}{rest}")
    assert came == ["nobody came"]


@needs_others
def test_a_stranger_on_the_other_loopback_gets_nothing(envoy: StandIn) -> None:
    port = int(envoy.url.rsplit(":", 1)[1])
    with stranger("::1", port) as (_, came):
        client = EnvoyClient("ann@example.com", "secret", url=f"http://localhost:{port}")
        assert client.get_user_info()["name"]
        with pytest.raises(APIError, check=saying("program-of-another-user", OTHER)):
            EnvoyClient("ann@example.com", "secret", url=f"http://[::1]:{port}").get_user_info()
    assert came == ["nobody came"]


def test_a_name_that_only_looks_like_an_address_is_none() -> None:
    with pytest.raises(APIError):
        EnvoyClient(url="http://127.example.invalid:1").get_user_info()


def test_the_own_listener_is_no_stranger() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        with socket.create_connection(ours.getsockname()) as caller:
            assert _listeners.stranger_behind(caller) is None
        client = EnvoyClient(url=f"http://localhost:{ours.getsockname()[1]}")
        with pytest.raises(APIError, check=saying("envoy-did-not-answer-within")):
            client.http_client.request("GET", "/user-info", timeout=0.1)
