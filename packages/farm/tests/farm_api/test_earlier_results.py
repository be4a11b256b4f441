"""Files that a submission names may be results of earlier submissions of its project."""

from typing import Any

import httpx
import pytest
from farm.db.tables import accounts
from farm.submissions import checks
from farm_protocol.hashing import new_hasher
from messages import says
from sqlalchemy import select

from . import conftest
from .conftest import Farm, send, spec
from .runners import FakeRunner, job_of

OUT = "demo/render_results/out"
NO_FILM = "sequence-not-in-project"


class Studio:
    """A user who renders, and makes films of it on later days."""

    def __init__(self, farm: Farm, client: httpx.Client) -> None:
        self.farm, self.client = farm, client
        self.runners = 0

    def submit(self, folder: str, *jobs: dict[str, Any], project: str = "demo") -> FakeRunner:
        """Submit jobs; return the runner of the first one."""
        self.client.post(
            "/v1/submissions", json=body(folder, *jobs, project=project)
        ).raise_for_status()
        self.runners += 1
        return FakeRunner(self.farm, self.runners)

    def render(self, shade: str, *frames: int, folder: str = OUT, done: int = 100) -> FakeRunner:
        """Render frames in a submission of their own, the first ones of them; return the runner."""
        wanted = ", ".join(map(str, frames))
        job = spec(instances=1, params={"frames": wanted})["jobs"][0]
        project = folder.split("/")[0]
        runner = self.submit(folder, job | {"path": f"{project}/scene.blend"}, project=project)
        for _ in frames[:done]:
            (frame,) = self.claimed(runner)[:1]
            deliver(runner, frame, f"{folder}/frame_{frame:04d}.png", f"{shade} {frame}")
        if done >= len(frames):
            self.end(runner)
        return runner

    def claimed(self, runner: FakeRunner) -> list[int]:
        """Return the frames that a runner has left, or gets now."""
        if not getattr(runner, "left", None):
            runner.left = runner.claim()  # type: ignore[attr-defined]
        left: list[int] = runner.left  # type: ignore[attr-defined]
        runner.left = left[1:]  # type: ignore[attr-defined]
        return left

    def end(self, runner: FakeRunner) -> None:
        """Let a runner end that has nothing left to do."""
        assert runner.claim(ended=None) == []
        self.farm.engine.living.discard(f"fake:{runner.request.runner_id}")

    def film(self, path: str = f"{OUT}/frame_####.png", **params: object) -> FakeRunner:
        """Submit a film; return its runner."""
        return self.submit("demo/render_results/film", film(path, **params))

    def refused(self, *jobs: dict[str, Any]) -> dict[str, list[str]]:
        """Return what is wrong with a submission."""
        sent = body("demo/render_results/film", *jobs)
        answers = [self.client.post(f"/v1/submissions{end}", json=sent) for end in ("/check", "")]
        assert [answer.status_code for answer in answers] == [400, 400], answers[0].text
        errors: dict[str, list[str]] = answers[1].json()["errors"]
        assert errors == answers[0].json()["errors"]
        return errors


def body(folder: str, *jobs: dict[str, Any], project: str = "demo") -> dict[str, Any]:
    """Return a submission."""
    return spec() | {"output_folder": folder, "jobs": list(jobs), "project": project}


def film(path: str = f"{OUT}/frame_####.png", **params: object) -> dict[str, Any]:
    """Return a job that makes a film of the results, with one instance."""
    return conftest.film(path, (), **params) | {"instances": 1}


def blob_of(text: str) -> str:
    hasher = new_hasher()
    hasher.update(text.encode())
    return str(hasher.hexdigest())


def deliver(runner: FakeRunner, frame: int, path: str, text: str) -> None:
    """Deliver a file as the result of a frame."""
    output = {"path": path, "hash": blob_of(text), "size": len(text)}
    runner.done(frame, data=text.encode(), outputs=[output]).raise_for_status()


def staged(runner: FakeRunner) -> dict[str, str]:
    """Return what a runner is given of results, and may read: texts by the name of the file."""
    files = runner.http.get("/v1/runner/job").raise_for_status().json()["files"]
    found = {}
    for file in files:
        if file["path"] != "demo/scene.blend":
            blob = runner.http.get(f"/v1/runner/blobs/{file['hash']}").raise_for_status()
            assert len(blob.content) == file["size"]
            found[file["path"].rsplit("/", 1)[1]] = blob.text
    return found


def images(shade: str, *frames: int) -> dict[str, str]:
    return {f"frame_{frame:04d}.png": f"{shade} {frame}" for frame in frames}


@pytest.fixture
def studio(farm: Farm) -> Studio:
    client = farm.user("ann@example.com")
    send(client, "demo/scene.blend", b"BLENDER-v304")
    return Studio(farm, client)


def test_a_film_of_yesterdays_frames(studio: Studio) -> None:
    studio.render("monday", 1, 2, 3)
    studio.render("else", 1, 2, folder="demo/render_results/else")
    runner = studio.film()
    assert staged(runner) == images("monday", 1, 2, 3)
    # Neither what its user has rendered elsewhere, nor what nobody has.
    for blob in (blob_of("else 1"), blob_of("nothing")):
        assert runner.http.get(f"/v1/runner/blobs/{blob}").status_code == 404
        asked = runner.http.post("/v1/runner/tickets", json={"hashes": [blob]})
        assert asked.status_code == 404


def test_the_frames_that_nobody_has_rendered_are_named(studio: Studio) -> None:
    studio.render("monday", 1, 2, 5)
    (message,) = studio.refused(film(frames="1 6"))["jobs[0].path"]
    assert message.endswith(" 3-4, 6.")
    assert f"'{OUT}/frame_####.png'" in message
    # Another sequence, and one that is like it.
    for name in ("other_####.png", "frame_##.png", "frame_####.exr"):
        (message,) = studio.refused(film(f"{OUT}/{name}"))["jobs[0].path"]
        assert says(message, NO_FILM)


def test_the_newest_submission_wins_and_an_uploaded_file_before_all(studio: Studio) -> None:
    studio.render("monday", 1, 2, 3, 4)
    studio.render("tuesday", 2, 3)
    send(studio.client, f"{OUT}/frame_0003.png", b"retouched")
    send(studio.client, f"{OUT}/frame_0005.png", b"drawn")
    wanted = images("monday", 1, 4) | images("tuesday", 2)
    wanted |= {"frame_0003.png": "retouched", "frame_0005.png": "drawn"}
    assert staged(studio.film(frames="1 5")) == wanted
    assert staged(studio.film()) == wanted


def test_files_that_are_on_their_way_count_before_results(studio: Studio) -> None:
    studio.render("monday", 1, 2)
    sent = body("demo/render_results/film", film(frames="1 3"))
    sent["pending_files"] = [f"{OUT}/frame_0003.png"]
    assert studio.client.post("/v1/submissions/check", json=sent).status_code == 200


def test_what_comes_after_the_submission_changes_nothing(studio: Studio) -> None:
    monday = studio.render("monday", 1, 2, 3, done=2)
    runner = studio.film()
    before = staged(runner)
    assert before == images("monday", 1, 2)
    # The rest of the same job, and a newer submission.
    deliver(monday, 3, f"{OUT}/frame_0003.png", "monday 3")
    studio.end(monday)
    studio.render("tuesday", 1, 2, 3)
    send(studio.client, f"{OUT}/frame_0001.png", b"retouched")
    assert staged(runner) == before
    for blob in map(blob_of, ("monday 3", "tuesday 1", "retouched")):
        assert runner.http.get(f"/v1/runner/blobs/{blob}").status_code == 404


def test_frames_that_are_rendered_anew_stay_as_they_were(studio: Studio) -> None:
    def stored() -> int:
        with studio.farm.database.read() as connection:
            return int(connection.execute(select(accounts.c.stored_bytes)).scalar_one())

    studio.render("monday", 1, 2)
    monday = job_of(studio.client)["id"]
    first = studio.film()
    for shade in ("again", "once more"):
        before = stored()
        studio.client.post(f"/v1/jobs/{monday}/retry_all").raise_for_status()
        studio.runners += 1
        anew = FakeRunner(studio.farm, studio.runners)
        for frame in anew.claim():
            deliver(anew, frame, f"{OUT}/frame_{frame:04d}.png", f"{shade} {frame}")
        studio.end(anew)
        assert stored() > before + len(f"{shade} 1{shade} 2")  # What is kept has its lines.
        assert staged(first) == images("monday", 1, 2)
        second = studio.film()
        assert staged(second) == images(shade, 1, 2)
        studio.client.post(f"/v1/jobs/{job_of(studio.client)['id']}/stop").raise_for_status()
        studio.end(second)


def test_what_another_user_or_project_has_rendered_does_not_count(
    farm: Farm, studio: Studio
) -> None:
    studio.render("monday", 1, 2)
    send(studio.client, "other/scene.blend", b"BLENDER-v304")
    studio.render("other", 1, 2, folder="other/render_results/out")
    elsewhere = film("other/render_results/out/frame_####.png")
    assert list(studio.refused(elsewhere)) == ["jobs[0].path"]
    bob = Studio(farm, farm.user("bob@example.com"))
    send(bob.client, "demo/scene.blend", b"BLENDER-v304")
    (message,) = bob.refused(film())["jobs[0].path"]
    assert says(message, NO_FILM)


def test_a_job_that_is_needed_renders_the_film_anew(studio: Studio) -> None:
    """What is left of an older version must not follow, unless the frames are asked for."""
    studio.render("monday", 1, 2, 3, 4)

    def rendered_and_filmed(**params: str) -> dict[str, str]:
        beauty = spec(instances=1, params={"frames": "1 2"})["jobs"][0]
        runner = studio.submit(OUT, beauty, film(**params) | {"dependencies": ["j1"]})
        for frame in runner.claim():
            deliver(runner, frame, f"{OUT}/frame_{frame:04d}.png", f"tuesday {frame}")
        studio.end(runner)
        studio.runners += 1
        return staged(FakeRunner(studio.farm, studio.runners))

    assert rendered_and_filmed() == images("tuesday", 1, 2)
    found = rendered_and_filmed(frames="1 3")
    assert found.items() >= (images("tuesday", 1, 2) | images("monday", 3)).items()


def test_a_scene_and_what_lies_beside_it(studio: Studio) -> None:
    job = spec(instances=1, params={"frames": "1"})["jobs"][0]
    maker = studio.submit(OUT, job)
    assert maker.claim() == [1]
    texts = {"shot.blend": "BLENDER-v304", "wood.png": "oak"}
    outputs = []
    for name, text in texts.items():
        maker.http.put(f"/v1/runner/blobs/{blob_of(text)}", content=text).raise_for_status()
        outputs.append({"path": f"{OUT}/made/{name}", "hash": blob_of(text), "size": len(text)})
    maker.done(1, outputs=outputs).raise_for_status()
    studio.end(maker)
    runner = studio.submit("demo/render_results/next", job | {"path": f"{OUT}/made/shot.blend"})
    assert staged(runner) == texts
    assert list(studio.refused(job | {"path": f"{OUT}/made/none.blend"})) == ["jobs[0].path"]


def test_what_is_looked_at_and_used_is_bounded(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.render("monday", 1, 2)
    studio.render("tuesday", 2, 3)
    monkeypatch.setattr(checks, "MAX_SUBMISSION_NAMES", 3)
    assert says(studio.refused(film())["jobs"][0], "too-many-files-to-search")
    monkeypatch.setattr(checks, "MAX_SUBMISSION_NAMES", 4)
    monkeypatch.setattr(checks, "MAX_SUBMISSION_DEPENDENCIES", 1)
    assert says(studio.refused(film())["jobs"][0], "submission-uses-too-many-results", 2, 1)
