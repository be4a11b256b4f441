"""What runners tell of their work: warnings, and logs."""

import httpx
import pytest

from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def test_what_runners_warn_of_stands_in_the_job_once(farm: Farm, ann: httpx.Client) -> None:
    params = {"frames": "1 3", "sampels": 1}
    ann.post("/v1/submissions", json=spec(params=params, instances=1))
    (known,) = job_of(ann)["warnings"]
    runner = FakeRunner(farm)

    def feed_after_claim(*warnings: str) -> list[str]:
        cursor = ann.get("/v1/changes").json()["cursor"]
        assert runner.claim(warnings=warnings)
        runner.finish("stopped")
        (job,) = ann.get("/v1/changes", params={"after": cursor}).json()["jobs"]
        warned: list[str] = job["warnings"]
        return warned

    assert feed_after_claim("No sandbox.") == [known, "No sandbox."]
    assert feed_after_claim("No sandbox.", "Old driver.", "Old driver.") == [
        known,
        "No sandbox.",
        "Old driver.",
    ]
    assert len(feed_after_claim("No sandbox.")) == 3
    too_long = runner.http.post("/v1/runner/claims", json={"warnings": ["x" * 2001]})
    assert too_long.status_code == 400


def test_what_a_renderer_met_is_told_with_the_end_of_the_last_claim(farm: Farm) -> None:
    client = farm.user("first@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    body = spec(instances=1, params={"frames": "1"})
    client.post("/v1/submissions", json=body).raise_for_status()
    runner = FakeRunner(farm)
    assert runner.claim() == [1]
    runner.done(1).raise_for_status()
    ended = {"claim_id": runner.claim_id, "finish": {"outcome": "completed"}}
    assert runner.claim(ended=ended, warnings=["Lines are missing."]) == []
    (job,) = client.get("/v1/jobs").json()["jobs"]
    assert (job["state"], job["warnings"]) == ("completed", ["Lines are missing."])


def test_a_log_is_answered_in_pieces_of_a_known_size(farm: Farm) -> None:
    ann = farm.user("ann@example.com")
    send(ann, "demo/scene.blend", b"scene")
    ann.post("/v1/submissions", json=spec()).raise_for_status()
    runner = FakeRunner(farm)
    runner.claim()
    sent = [letter * 999_999 + "\n" for letter in "abcdef"]
    for count, text in enumerate(sent):
        runner.post("log", {"offset": count * 1_000_000, "text": text}).raise_for_status()
    path = f"/v1/jobs/{job_of(ann)['id']}/log"
    texts, cursor = list[str](), 0
    while not texts or texts[-1]:
        page = ann.get(path, params={"after": cursor}).json()
        texts.append(page["text"])
        cursor = page["cursor"]
    assert "".join(texts) == "".join(sent)
    assert max(map(len, texts)) < 6_000_000
