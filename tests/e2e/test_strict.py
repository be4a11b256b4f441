"""A strict Envoy, its farm, Blender and the client: a whole job, and each way to the token."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from gridmarkets import APIError, EnvoyClient
from messages import saying

from .conftest import EMAIL, PASSWORD, ROOT, Studio, a_studio


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    yield from a_studio(tmp_path_factory.mktemp("strict"), "--strict")


def run_example(studio: Studio, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a published script as it stands."""
    script = ROOT / "examples" / "render_and_download.py"
    usual = {name: value for name, value in os.environ.items() if name != "ENVOY_TOKEN"}
    account = {"ENVOY_URL": studio.url, "ENVOY_EMAIL": EMAIL, "ENVOY_PASSWORD": PASSWORD}
    return subprocess.run(
        [sys.executable, script, studio.results],
        env=usual | account | environment,
        capture_output=True,
        text=True,
    )


def test_the_main_job_with_the_token_in_the_variable(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run_example(studio, ENVOY_TOKEN=studio.token())
    assert (done.returncode, done.stderr) == (0, "")
    # The example renders 24 frames.
    monkeypatch.setenv("ENVOY_TOKEN", studio.token())
    studio.assert_complete(24)


def test_a_script_without_the_token_is_told_where_it_is(studio: Studio) -> None:
    for environment in ({}, {"ENVOY_TOKEN": "w" * 43}):
        done = run_example(studio, **environment)
        assert done.returncode != 0
        assert str(studio.data / "token") in done.stderr
        assert studio.token() not in done.stderr


def test_the_client_by_argument_variable_and_file(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENVOY_TOKEN", raising=False)

    def user(token: str | None = None) -> str:
        client = EnvoyClient(EMAIL, PASSWORD, studio.url, token=token)
        return str(client.get_user_info()["email_address"])

    with pytest.raises(APIError) as caught:
        user()
    assert (caught.value.http_status, caught.value.code) == (401, "token_required")
    assert user(studio.token()) == EMAIL
    monkeypatch.setenv("ENVOY_TOKEN", studio.token())
    assert user() == EMAIL
    with pytest.raises(APIError, check=saying("token-is-wrong")):
        user("w" * 43)
    monkeypatch.setenv("ENVOY_TOKEN", "w" * 43)
    monkeypatch.setenv("ENVOY_DATA_DIR", str(studio.data))
    with pytest.raises(APIError, match="ENVOY_TOKEN"):
        user()
    monkeypatch.delenv("ENVOY_TOKEN")
    assert user() == EMAIL


@pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")
def test_a_file_that_others_can_read_is_not_used_and_says_so(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENVOY_TOKEN", raising=False)
    monkeypatch.setenv("ENVOY_DATA_DIR", str(studio.data))
    (studio.data / "token").chmod(0o640)
    try:
        fault = saying("other-users-may-read")
        with pytest.raises(APIError, check=saying("token-file-not-used-remove", fault)):
            EnvoyClient(url=studio.url).get_user_info()
    finally:
        (studio.data / "token").chmod(0o600)


def test_the_client_goes_on_when_a_strict_envoy_starts_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVOY_TOKEN", studio.token())
    client = studio.client()
    stop = [sys.executable, "-m", "envoy", "stop", "--port", str(studio.port)]
    subprocess.run([*stop, "--data-dir", str(studio.data)], check=True, capture_output=True)
    studio.until_nothing_runs()
    studio.up()
    assert client.get_user_info()["email_address"] == EMAIL
