"""Which token is shown, and to whom: never to anybody but the Envoy of this machine."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from envoy_stand_in import StandIn
from gridmarkets import APIError, EnvoyClient
from messages import saying, says
from other_users import OTHER, needs_others, stranger
from platformdirs import user_data_path

GIVEN, OF_VARIABLE, OF_FILE = "g" * 43, "v" * 43, "f" * 43

REFUSAL = {"code": "token_required", "message": "Show a token.", "errors": {}, "retry": False}

needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Envoy's data folder, as the environment names it."""
    monkeypatch.setenv("ENVOY_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("ENVOY_TOKEN", raising=False)
    return tmp_path


def write(path: Path, content: str = OF_FILE + "\n", mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def shown(envoy: StandIn, token: str | None = None) -> str | None:
    EnvoyClient(url=envoy.url, token=token).get_user_info()
    return envoy.shown[-1]


def test_no_token_no_header(envoy: StandIn, folder: Path) -> None:
    assert shown(envoy) is None


def test_the_argument_comes_before_the_variable_and_that_before_the_file(
    envoy: StandIn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "token")
    assert shown(envoy) == "Bearer " + OF_FILE
    monkeypatch.setenv("ENVOY_TOKEN", OF_VARIABLE)
    assert shown(envoy) == "Bearer " + OF_VARIABLE
    assert shown(envoy, token=GIVEN) == "Bearer " + GIVEN
    monkeypatch.setenv("ENVOY_TOKEN", "")
    assert shown(envoy) == "Bearer " + OF_FILE


def test_another_address_keeps_the_token(envoy: StandIn, folder: Path) -> None:
    client = EnvoyClient(url="http://localhost:1", token=GIVEN)
    client.url = envoy.url
    client.get_user_info()
    assert envoy.shown == ["Bearer " + GIVEN]


def test_a_file_that_comes_after_the_client_counts(envoy: StandIn, folder: Path) -> None:
    client = EnvoyClient(url=envoy.url)
    client.get_user_info()
    write(folder / "token")
    client.get_user_info()
    assert envoy.shown == [None, "Bearer " + OF_FILE]


def test_the_usual_folder_is_where_envoy_has_it(
    envoy: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENVOY_DATA_DIR", raising=False)
    monkeypatch.delenv("ENVOY_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, value in (("XDG_DATA_HOME", str(tmp_path / "data")), ("XDG_DATA_HOME", "")):
        monkeypatch.setenv(name, value)
        usual = user_data_path("envoy", appauthor=False)
        assert tmp_path in usual.parents
        usual.mkdir(parents=True)
        token = f"{len(value):043}"
        write(usual / "token", token)
        assert shown(envoy) == "Bearer " + token


def refused(envoy: StandIn) -> str:
    """Return what a strict Envoy's refusal says, and that nothing was shown to it."""
    envoy.answers["GET", "user-info"] = (401, REFUSAL)
    with pytest.raises(APIError) as caught:
        EnvoyClient(url=envoy.url).get_user_info()
    assert envoy.shown == [None]
    assert (caught.value.code, caught.value.http_status) == ("token_required", 401)
    assert str(caught.value).startswith("Show a token.")
    return str(caught.value)


@needs_modes
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o601])
def test_a_file_that_is_open_to_others_is_not_used_and_says_so(
    envoy: StandIn, folder: Path, mode: int
) -> None:
    path = write(folder / "token", mode=mode)
    told = refused(envoy)
    assert says(told, "token-file-not-used-remove", path, saying("other-users-may-read"))
    assert OF_FILE not in told


@needs_others
def test_a_file_of_another_user_is_not_used_and_says_so(envoy: StandIn, folder: Path) -> None:
    path = write(folder / "token")
    os.chown(path, OTHER, OTHER)
    fault = saying("belongs-another-user")
    assert says(refused(envoy), "token-file-not-used-remove", path, fault)


@needs_modes
def test_a_link_is_not_followed(envoy: StandIn, folder: Path) -> None:
    (folder / "token").symlink_to(write(folder / "elsewhere"))
    refused(envoy)


@needs_modes
def test_a_fifo_holds_nobody_up(envoy: StandIn, folder: Path) -> None:
    os.mkfifo(folder / "token", 0o600)
    assert says(refused(envoy), "not-regular-file")


@pytest.mark.parametrize("content", ["", "two words\n", "x" * 300, "to\nken", "n\u00f6"])
def test_a_file_without_a_token_is_not_used_and_says_so(
    envoy: StandIn, folder: Path, content: str
) -> None:
    write(folder / "token", content)
    assert says(refused(envoy), "holds-no-token")


def test_a_refusal_says_which_token_was_sent_and_not_the_token(
    envoy: StandIn, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    envoy.answers["GET", "user-info"] = (401, REFUSAL)
    write(folder / "token")
    for wanted, name in ((str(folder / "token"), ""), ("ENVOY_TOKEN", OF_VARIABLE)):
        monkeypatch.setenv("ENVOY_TOKEN", name)
        with pytest.raises(APIError, match="Show a token") as caught:
            EnvoyClient(url=envoy.url).get_user_info()
        assert wanted in str(caught.value)
        assert OF_FILE not in str(caught.value)
        assert OF_VARIABLE not in str(caught.value)
    with pytest.raises(APIError, check=saying("token-client-given")):
        EnvoyClient(url=envoy.url, token=GIVEN).get_user_info()


@pytest.mark.parametrize("token", ["", "two words", "line\r\nX-Evil: 1", "n\u00f6", 5, "x" * 201])
def test_what_can_be_no_token_is_an_error_and_sends_nothing(
    envoy: StandIn, folder: Path, token: Any
) -> None:
    with pytest.raises(APIError, check=saying("cannot-used-token-one-line")):
        EnvoyClient(url=envoy.url, token=token).get_user_info()
    assert envoy.shown == []


def test_other_programs_of_this_machine_are_shown_nothing(envoy: StandIn, folder: Path) -> None:
    """Plug-ins send requests to whole URLs, too."""
    port = envoy.url.rsplit(":", 1)[1]
    elsewhere = EnvoyClient(url="http://localhost:1", token=GIVEN).http_client
    elsewhere.request("GET", envoy.url + "/user-info")
    for url in (f"http://127.1:{port}", f"http://ann@127.0.0.1:{port}", f"http://0.0.0.0:{port}"):
        client = EnvoyClient(url=url, token=GIVEN)
        client.http_client.request("GET", "/user-info")
    assert len(envoy.shown) == 4
    assert not any(GIVEN in (header or "") for header in envoy.shown)
    EnvoyClient(url=f"http://LOCALHOST:{port}", token=GIVEN).get_user_info()
    assert envoy.shown[-1] == "Bearer " + GIVEN


@needs_others
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_stranger_on_the_port_is_shown_nothing(folder: Path, host: str) -> None:
    write(folder / "token")
    with stranger(host) as (port, came):
        for options in ({"token": GIVEN}, {}):
            with pytest.raises(APIError, check=saying("program-of-another-user", OTHER)):
                EnvoyClient(url=f"http://localhost:{port}", **options).get_user_info()
    assert came == ["nobody came"]
