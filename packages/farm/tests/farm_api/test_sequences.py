"""Jobs that work on an image sequence: is it there, or will a job that they need render it?"""

from typing import Any

import httpx
import pytest
from farm.submissions import checks
from messages import saying, says

from .conftest import Farm, film, send, spec


@pytest.fixture
def database_url() -> None:
    """None of this depends on the database: SQLite is enough."""


OUT = "demo/render_results/out"


@pytest.fixture
def ann(farm: Farm) -> httpx.Client:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return client


def submission(*jobs: dict[str, Any], frames: str = "1 24") -> dict[str, Any]:
    """Return a submission of a render job, j1, and others."""
    body: dict[str, Any] = spec(params={"frames": frames})
    body["jobs"] += jobs
    return body


def wrong(client: httpx.Client, body: dict[str, Any]) -> str:
    """Return what is wrong with the path of the second job, the only thing that is."""
    answers = [client.post(f"/v1/submissions{end}", json=body) for end in ("/check", "")]
    assert [answer.status_code for answer in answers] == [400, 400], answers[0].text
    errors = answers[0].json()["errors"]
    assert answers[1].json()["errors"] == errors
    assert list(errors) == ["jobs[1].path"]
    (message,) = errors["jobs[1].path"]
    return str(message)


@pytest.mark.parametrize("mark", ["####", "%04d", "$F4"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_what_a_needed_job_will_render(ann: httpx.Client, mark: str, slash: str) -> None:
    body = submission(film(f"{slash}{OUT}/frame_{mark}.png", ["j1"], frames="2 20"))
    answer = ann.post("/v1/submissions", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["jobs"][1]
    assert (made["state"], made["frames_total"], made["app_version"]) == ("pending", 1, "5.1")


def test_the_order_of_the_jobs_makes_no_difference(ann: httpx.Client) -> None:
    body = submission(film(f"{OUT}/frame_####.png", ["j1"]))
    body["jobs"].reverse()
    assert ann.post("/v1/submissions", json=body).status_code == 201


def test_images_on_the_farm(ann: httpx.Client) -> None:
    for frame in (8, 9, 10):
        send(ann, f"demo/plates/a.{frame}.exr", b"x%d" % frame)
    good = submission(film("demo/plates/a.#.exr", frames="8 10"))
    assert ann.post("/v1/submissions", json=good).status_code == 201
    message = wrong(ann, submission(film("demo/plates/a.#.exr", frames="5 10")))
    assert "5-7" in message
    assert "'demo/plates/a.#.exr'" in message


def test_images_on_their_way(ann: httpx.Client) -> None:
    body = submission(film("demo/plates/a_##.png"))
    body["pending_files"] = ["/demo/plates/a_01.png"]
    assert ann.post("/v1/submissions/check", json=body).status_code == 200


def test_frames_that_the_needed_job_does_not_render(ann: httpx.Client) -> None:
    body = submission(film(f"{OUT}/frame_####.png", ["j1"], frames="1 26"))
    nobody = saying("nor-rendered-job-one-depends")
    told = saying("images-not-in-project", f"{OUT}/frame_####.png", nobody, "25-26")
    assert wrong(ann, body) == told


@pytest.mark.parametrize(
    "path", [f"{OUT}/fram_####.png", f"{OUT}/frame_##.png", "demo/frame_####.png"]
)
def test_the_nearest_name_is_told(ann: httpx.Client, path: str) -> None:
    message = wrong(ann, submission(film(path, ["j1"])))
    assert says(message, "did-you-mean", f"{OUT}/frame_####.png")


@pytest.mark.parametrize(
    "path",
    [
        f"{OUT}/frame_####_L.png",
        f"{OUT}/frame_####_right.png",
        f"{OUT}/frame_Beauty/Image####.png",
        f"{OUT}/frame_Beauty/deep/Image####.exr",
    ],
)
def test_what_only_the_scene_knows_is_looked_for_when_the_job_starts(
    ann: httpx.Client, path: str
) -> None:
    good = submission(film(path, ["j1"]))
    assert ann.post("/v1/submissions/check", json=good).status_code == 200
    # Nobody else could write them.
    assert says(wrong(ann, submission(film(path))), "sequence-not-in-project")


@pytest.mark.parametrize(
    "path",
    [
        f"{OUT}/frame_###_L.png",
        f"{OUT}/fram_####_L.png",
        f"{OUT}/frame_####_L.exr",
        f"{OUT}/Beauty/Image####.png",
        "demo/render_results/other/frame_Beauty/Image####.png",
    ],
)
def test_what_no_view_or_node_is_called(ann: httpx.Client, path: str) -> None:
    assert says(wrong(ann, submission(film(path, ["j1"]))), "sequence-not-in-project")


def test_what_is_looked_at_for_all_sequences_together_is_bounded(
    ann: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MAX_SUBMISSION_NAMES", 100)
    # The same images for several films are looked for once.
    body = submission(
        *[
            film(f"demo/{n % 3}/f_###.png", output_prefix=f"film{n}") | {"id": f"film{n}"}
            for n in range(50)
        ]
    )
    body["pending_files"] = [f"demo/{n}/f_{k:03d}.png" for n in range(3) for k in range(33)]
    assert ann.post("/v1/submissions/check", json=body).status_code == 200
    body["pending_files"] += [f"demo/2/f_{k}.png" for k in range(500, 510)]
    errors = ann.post("/v1/submissions/check", json=body).json()["errors"]
    assert says(errors["jobs"][0], "too-many-files-to-search")


def test_so_is_what_needed_jobs_may_write_under_other_names(
    ann: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MAX_SUBMISSION_NAMES", 100)
    body = submission(film(f"{OUT}/frame_00##.png", ["j1"]), frames="1 90")
    assert ann.post("/v1/submissions/check", json=body).status_code == 200
    body = submission(film(f"{OUT}/frame_0###.png", ["j1"]), frames="1 101")
    errors = ann.post("/v1/submissions/check", json=body).json()["errors"]
    assert says(errors["jobs"][0], "too-many-files-to-search")
    # Whose names cannot be the same is not looked at.
    message = wrong(ann, submission(film(f"{OUT}/other_####.png", ["j1"]), frames="1 101"))
    assert says(message, "sequence-not-in-project")


def test_without_the_dependency_it_is_not_there(ann: httpx.Client) -> None:
    message = wrong(ann, submission(film(f"{OUT}/frame_####.png")))
    assert "add_dependencies" in message


@pytest.mark.parametrize(
    ("path", "word"),
    [
        (f"{OUT}/frame_0001.png", "'frame_####.png'"),
        (f"{OUT}/frame_####.blend", ".png"),
        (f"demo/../{OUT}/frame_####.png", ".."),
        ("other/frame_####.png", "'demo/"),
    ],
)
def test_paths_that_are_no_sequence_of_the_project(ann: httpx.Client, path: str, word: str) -> None:
    assert word in wrong(ann, submission(film(path, ["j1"])))


def test_a_frame_rate_that_is_none(ann: httpx.Client) -> None:
    body = submission(film(f"{OUT}/frame_####.png", ["j1"], frame_rate="fast"))
    errors = ann.post("/v1/submissions/check", json=body).json()["errors"]
    assert "24000/1001" in errors["jobs[1].frame_rate"][0]
