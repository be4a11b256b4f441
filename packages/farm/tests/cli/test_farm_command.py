"""The command ``farm``, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from command_line import ended
from messages import saying, says

NOT_JSON = saying("setting-not-valid-json-write")


def farm(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "farm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload, no-any-return]


def add(
    folder: Path, email: str, *more: str, password: str = ""
) -> "subprocess.CompletedProcess[str]":
    options = {"input": f"{password}\n"} if password else {}
    return farm("users", "add", email, "--data-dir", str(folder), *more, **options)


def serve(folder: Path, *more: str) -> "tuple[subprocess.Popen[str], str]":
    command = [sys.executable, "-m", "farm", "serve", "--embedded", "--data-dir", str(folder)]
    process = subprocess.Popen(
        [*command, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert (ready["event"], ready["pid"]) == ("ready", process.pid)
    return process, ready["url"]


def why_not(url: str, key: str, job: dict[str, str]) -> str:
    """Return what the farm says about the version of a job of frame 1."""
    answer = httpx.post(
        f"{url}/v1/submissions/check",
        headers={"Authorization": f"Bearer {key}"},
        json={
            "id": "0" * 32,
            "project": "p",
            "name": "n",
            "output_folder": "p/out",
            "pending_files": [job["path"]],
            "jobs": [{**job, "params": {"frames": "1"}}],
        },
    )
    message: str = answer.json()["errors"]["jobs[0].app_version"][0]
    return message


@pytest.mark.usefixtures("on_database")
def test_the_version_is_that_of_the_package() -> None:
    assert farm("--version").stdout == f"farm {version('render-farm')}\n"


def test_a_new_user_can_sign_in_with_password_and_key(tmp_path: Path) -> None:
    process, url = serve(tmp_path)
    done = add(
        tmp_path, "ann@example.com", "--credits", "12.5", "--password-stdin", password="long enough"
    )
    assert done.returncode == 0, done.stderr
    key = done.stdout.splitlines()[-1]
    me = httpx.get(f"{url}/v1/me", headers={"Authorization": f"Bearer {key}"}, timeout=60).json()
    assert (me["email_address"], me["credits_available"]) == ("ann@example.com", 12.5)
    login = httpx.post(
        f"{url}/v1/login", json={"email": "ann@example.com", "secret": "long enough"}
    )
    assert login.status_code == 200
    assert ended(process) == 0


def test_mistakes_are_told_in_a_message(tmp_path: Path) -> None:
    assert farm("migrate", "--data-dir", str(tmp_path)).returncode == 0
    assert add(tmp_path, "ann@example.com").returncode == 0
    for done, message in (
        (add(tmp_path, "Ann@example.com"), saying("account-exists", "ann@example.com")),
        (add(tmp_path, "nonsense"), saying("not-email-address", "nonsense")),
        (
            add(tmp_path, "bob@example.com", "--credits", "many"),
            saying("option-not-amount-credits", "--credits", "many"),
        ),
        (
            add(tmp_path, "bob@example.com", "--password-stdin", password="short"),
            saying("password-length", 8, 1024),
        ),
        (
            add(tmp_path, "bob@example.com", "--plan", "x" * 201),
            saying("too-long-maximum-shorten", "'--plan'", 200),
        ),
        (
            add(tmp_path, "bob\udcff@example.com"),
            saying("argument-not-text", r"bob\udcff@example.com"),
        ),
    ):
        assert done.returncode == 1
        assert says(done.stderr, message)
        assert "Traceback" not in done.stderr


def test_one_farm_a_folder_and_a_database(tmp_path: Path, on_database: str | None) -> None:
    process, url = serve(tmp_path)
    second = farm("serve", "--data-dir", str(tmp_path))
    assert second.returncode == 1
    assert url in second.stderr
    assert str(process.pid) in second.stderr
    taken = farm("serve", "--data-dir", str(tmp_path / "b"), "--port", url.rpartition(":")[2])
    assert taken.returncode == 1
    assert "--port" in taken.stderr
    if on_database is not None:
        again = farm("serve", "--data-dir", str(tmp_path / "c"))
        assert again.returncode == 1
        assert "FARM_DATABASE_URL" in again.stderr
    assert ended(process, signal.SIGINT) == 0


def test_a_database_that_does_not_answer_is_told_in_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_DATABASE_URL", "postgresql://farm:secret@/farm?host=/nowhere")
    for done in (farm("serve", "--data-dir", str(tmp_path)), add(tmp_path, "ann@example.com")):
        assert done.returncode == 1
        assert "/nowhere" in done.stderr
        assert "secret" not in done.stderr
        assert "Traceback" not in done.stderr


def test_the_port_is_kept_and_an_idle_farm_ends_with_its_envoy(tmp_path: Path) -> None:
    process, url = serve(tmp_path)
    assert ended(process, signal.SIGKILL) == -signal.SIGKILL
    process, again = serve(tmp_path)
    assert again == url
    with process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("FARM_PROGRAMS", '{"paint": "/bin/true"}', ["FARM_PROGRAMS", "'paint'", "nuke"]),
        (
            "FARM_PROGRAMS",
            "nuke=/bin/true",
            [saying("setting-not-valid-json-write", "FARM_PROGRAMS")],
        ),
        ("FARM_PROGRAMS", '{"nuke": 3}', [saying("setting-farm-wrong"), "FARM_PROGRAMS.NUKE"]),
        ("FARM_CATALOGUE", "/no/such/file.yaml", ["/no/such/file.yaml", "No such file"]),
        ("FARM_LOCAL_SLOTS", "0", ["FARM_LOCAL_SLOTS", saying("must-more", 1)]),
        ("FARM_PROXIES", '["*"]', ["FARM_PROXIES", "'*'"]),
        ("FARM_PROXIES", '["127.0.0.1", "10.0.0.0/8"]', ["FARM_PROXIES", "'10.0.0.0/8'"]),
        ("FARM_PROXIES", '["proxy.example.com"]', ["FARM_PROXIES", "'proxy.example.com'"]),
    ],
)
def test_settings_that_are_wrong_stop_it_with_a_message(
    tmp_path: Path, variable: str, value: str, words: list[str | saying]
) -> None:
    done = farm("serve", "--data-dir", str(tmp_path), env={**os.environ, variable: value})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert says(done.stderr, word) if isinstance(word, saying) else word in done.stderr


def test_a_configured_program_that_does_not_answer_is_told(tmp_path: Path) -> None:
    catalogue = tmp_path / "studio.yaml"
    catalogue.write_text(
        "products: {nuke: {operations: {render: blender_render}, versions: ['14.0v5']}}"
    )
    environment = {
        **os.environ,
        "FARM_PROGRAMS": '{"nuke": "/bin/true"}',
        "FARM_CATALOGUE": str(catalogue),
    }
    assert farm("migrate", "--data-dir", str(tmp_path)).returncode == 0
    key = add(tmp_path, "ann@example.com", "--credits", "1").stdout.splitlines()[-1]
    command = [sys.executable, "-m", "farm", "serve", "--embedded", "--data-dir", str(tmp_path)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    assert process.stdout is not None
    lines: list[bytes] = []
    while not lines or b'"ready"' not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1]
    url = json.loads(lines[-1])["url"]
    message = "The configured nuke '/bin/true' does not answer '--version' as nuke does."
    assert any(message.encode() in line for line in lines)
    job = {"id": "a", "name": "a", "app": "nuke", "operation": "render", "path": "p/a.nk"}
    said = why_not(url, key, job | {"app_version": "15.1"})
    assert "14.0v5" in said
    assert message in said
    assert ended(process) == 0


def test_without_a_renderer_the_farm_runs_and_says_so(tmp_path: Path) -> None:
    environment = {**os.environ, "FARM_BLENDER": str(tmp_path / "no blender")}
    command = [sys.executable, "-m", "farm", "serve", "--embedded", "--data-dir", str(tmp_path)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    key = add(tmp_path, "ann@example.com", "--credits", "1").stdout.splitlines()[-1]
    job = {"id": "a", "name": "a", "app": "blender", "operation": "render", "path": "p/a.blend"}
    assert "no blender" in why_not(url, key, job)
    assert ended(process) == 0
