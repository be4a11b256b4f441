"""The farm is told of the files that are on their way when it checks a submission."""

from typing import Any

import pytest
from envoy.submissions import coming
from envoy_faults import Fault
from envoy_studio import Studio, until
from farm_protocol.jobs import JobSpec


def whole(studio: Studio, *names: str) -> dict[str, Any]:
    for name in names:
        studio.write(name)
    return {"localRoot": str(studio.project), "remoteRoot": "/demo"}


async def test_all_files_of_the_submission_are_told(studio: Studio) -> None:
    files = whole(studio, "plates/f_0001.png", "plates/f_0002.png")
    await studio.submitted(project_files=files)
    (check,) = studio.farm.checks
    assert check.pending_files == [
        *("demo/plates/f_0001.png", "demo/plates/f_0002.png", "demo/scene.blend")
    ]


async def test_so_are_those_of_uploads_that_still_run(studio: Studio) -> None:
    await studio.sign_in()
    studio.farm.faults.append(Fault("POST", "/v1/blobs/missing", "hold"))
    upload = {"upload": [whole(studio, "plates/f_0001.png")]}
    (await studio.http.post("/upload", json=upload)).raise_for_status()
    await until(studio.farm.held.is_set)
    studio.write("scene.blend")
    entry = await studio.submit()
    (check,) = studio.farm.checks
    assert check.pending_files == ["demo/plates/f_0001.png", "demo/scene.blend"]
    studio.farm.released.set()
    await studio.until_state(entry, "submitted")
    # Once they have arrived they are not on their way any more.
    await studio.until_state(await studio.submit(skip_upload=True), "submitted")
    assert studio.farm.checks[-1].pending_files == []


def test_of_very_many_those_that_jobs_may_mean_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    plates = {f"demo/plates/f_{number:04d}.png" for number in range(50)}
    others = {f"demo/cache/{number}/x.vdb" for number in range(50)}
    sound = {"demo/sound/a.wav", "demo/sound/b/c.wav"}
    files = plates | others | sound
    given = {"id": "1", "name": "film", "app": "ffmpeg", "operation": "encode"}
    job = JobSpec(
        **given, path="demo/plates/f_####.png", params={"tracks": [{"file": "/demo/sound/a.wav"}]}
    )
    assert coming.paths_to_announce(files, [job]) == sorted(files)
    monkeypatch.setattr(coming, "MOST_BYTES", 1000)
    assert coming.paths_to_announce(files, [job]) == sorted(plates | {"demo/sound/a.wav"})
    monkeypatch.setattr(coming, "MAX_PENDING", 10)
    assert coming.paths_to_announce(files, [job]) == sorted(plates)[:10]
