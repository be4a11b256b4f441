"""Texts that are far too long, and far too many of them, over HTTP: refused before they cost."""

import time
from typing import Any

import httpx
import pytest
from farm.products import BUILT_IN
from messages import saying, says

from .conftest import Farm, send, spec

GUARD_SECONDS = 5
"""What took over six seconds a text is to take next to nothing."""

TEXTS = ["#" * 20_000, "#" * 20_000 + "a#", "1" * 4_000 + "/", "$F" * 2_048, "<" * 4_096]


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


@pytest.mark.parametrize("text", TEXTS)
def test_a_long_prefix_is_refused_at_once(ann: httpx.Client, text: str) -> None:
    body = spec(params={"frames": "1 1000", "output_prefix": text})
    body["jobs"] = [{**body["jobs"][0], "id": f"j{i}"} for i in range(20)]
    begin = time.process_time()
    answer = ann.post("/v1/submissions/check", json=body)
    assert time.process_time() - begin < GUARD_SECONDS
    assert answer.status_code == 400
    assert "jobs[0].output_prefix" in answer.json()["errors"]


def test_a_text_says_how_long_it_may_be(ann: httpx.Client) -> None:
    errors = ann.post(
        "/v1/submissions/check", json=spec(params={"frames": "1", "camera": "c" * 5_000})
    ).json()["errors"]
    assert errors == {"jobs[0].camera": [saying("too-many-characters", 5000, 4096)]}


def test_a_long_list_of_frames_is_fine(ann: httpx.Client) -> None:
    frames = ",".join(str(number) for number in range(1, 4_000))
    answer = ann.post("/v1/submissions/check", json=spec(params={"frames": frames}))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"params": {"frames": "1", **{f"p{i}": 1 for i in range(300)}}}, "params"),
        ({"plugins": ["p"] * 5_000}, "plugins"),
        ({"plugins": ["p" * 5_000]}, "plugins[0]"),
        ({"dependencies": ["d"] * 5_000}, "dependencies"),
    ],
)
def test_what_is_too_much_is_refused(
    ann: httpx.Client, changes: dict[str, Any], field: str
) -> None:
    answer = ann.post("/v1/submissions/check", json=spec(**changes))
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [f"jobs[0].{field}"]


def test_many_unknown_parameters_are_told_together(ann: httpx.Client) -> None:
    params = {"frames": "1", **{f"engin{i}": 1 for i in range(100)}}
    answer = ann.post("/v1/submissions/check", json=spec(params=params))
    warnings = answer.json()["warnings"]
    assert says(warnings[0], "did-you-mean", "engine")
    assert says(warnings[-1], "not-parameters-ignored", 80, "blender", "render")
    assert len(warnings) == 11


@pytest.mark.parametrize(("app", "operation"), BUILT_IN.available())
def test_no_parameter_takes_long_over_a_text(app: str, operation: str) -> None:
    template = BUILT_IN.load(app, operation)
    assert template is not None
    begin = time.process_time()
    for parameter in template.parameters:
        for text in TEXTS:
            for cut in (text, text[:4_096]):
                template.validate({template.frames: "1", parameter.name: cut})
    assert time.process_time() - begin < 2 * GUARD_SECONDS


def test_many_long_names_of_images_are_not_compared(ann: httpx.Client) -> None:
    """Looking for the nearest name takes the square of its length, and more."""
    letters = "".join(chr(0x100 + i) for i in range(60)) * 2
    pending = [f"demo/{letters[i % 60 :][:60]}{i}/{letters}_0001.png" for i in range(3_000)]
    job = {"app": "ffmpeg", "app_version": "5.1", "operation": "transcode"}
    body = spec(**job, path=f"demo/{letters[::-1]}_####.png", params={})
    body["pending_files"] = pending
    begin = time.process_time()
    answer = ann.post("/v1/submissions/check", json=body)
    assert time.process_time() - begin < 2 * GUARD_SECONDS
    assert list(answer.json()["errors"]) == ["jobs[0].path"]
