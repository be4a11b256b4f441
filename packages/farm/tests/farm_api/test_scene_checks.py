"""What a scene's own file says before it is rendered: who saved it."""

import gzip
from collections.abc import Callable

import httpx
import pytest
import zstandard
from messages import saying, says

from .conftest import Farm, send, spec


@pytest.fixture
def database_url() -> None:
    """None of this depends on the database: SQLite is enough."""


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    return farm.user("ann@example.com")


def refusal(client: httpx.Client, body: dict[str, object]) -> str:
    """Return the one reason why a submission is refused, by the check and by itself."""
    answers = [
        client.post(path, json=body) for path in ("/v1/submissions/check", "/v1/submissions")
    ]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json() == answers[1].json()
    errors = answers[0].json()["errors"]
    assert list(errors) == ["jobs[0].app_version"]
    assert client.get("/v1/jobs").json()["jobs"] == []
    text: str = errors["jobs[0].app_version"][0]
    return text


Pack = Callable[[bytes], bytes]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_a_scene_of_a_newer_blender_is_refused_with_the_version_to_choose(
    ann: httpx.Client, pack: Pack
) -> None:
    send(ann, "demo/scene.blend", pack(b"BLENDER-v405" + bytes(100)))
    reason = refusal(ann, spec(app_version="3.4.1"))
    choice = saying("choose-which-farm-save", "4.5.15")
    assert says(reason, "blender-older-than-scene", "4.5", "3.4.1", choice, "3.4")
    for good in ("4.5.15", ""):
        assert ann.post("/v1/submissions", json=spec(app_version=good)).status_code == 201


def test_a_scene_newer_than_every_blender_here_must_be_saved_again(ann: httpx.Client) -> None:
    send(ann, "demo/scene.blend", b"BLENDER17-01v0500" + bytes(100))
    reason = refusal(ann, spec(app_version=""))
    assert says(reason, "blender-older-than-scene", "5.0", "4.5.15", "4.5")
    assert not says(reason, "choose-which-farm-save")


@pytest.mark.parametrize("content", [b"", b"BLENDER", b"BLENDER-v279_old", b"something else"])
def test_what_is_older_or_unreadable_is_left_to_blender(ann: httpx.Client, content: bytes) -> None:
    send(ann, "demo/scene.blend", content)
    assert ann.post("/v1/submissions/check", json=spec()).status_code == 200
    assert ann.post("/v1/submissions", json=spec()).status_code == 201


def test_a_scene_that_is_still_to_be_sent_is_not_looked_at(ann: httpx.Client) -> None:
    send(ann, "demo/scene.blend", b"BLENDER17-01v0500")
    body = spec() | {"pending_files": ["demo/scene.blend"]}
    assert ann.post("/v1/submissions/check", json=body).status_code == 200
    send(ann, "demo/scene.blend", b"BLENDER-v304")
    assert ann.post("/v1/submissions", json=spec()).status_code == 201
