"""Files that an artist removes from a folder leave the project when the folder is added again."""

from typing import Any

import pytest
from envoy_fake_farm import EMAIL
from envoy_faults import Fault
from envoy_start import Start
from envoy_studio import Studio, until, waits_for
from messages import saying
from starlette.responses import JSONResponse

FOLDER = "tex"


def sent(studio: Studio) -> set[str]:
    return set(studio.farm.manifests[EMAIL, "demo"])


def group(studio: Studio, **changes: Any) -> dict[str, Any]:
    return {"localRoot": str(studio.project), "remoteRoot": "/demo"} | changes


def listed(studio: Studio, *names: str) -> dict[str, Any]:
    """Return what our client sends of a folder: the files that it has found in it."""
    return group(studio, files=["scene.blend", *names], named=["scene.blend"], folders=[FOLDER])


async def fill(studio: Studio) -> None:
    for name in ("a.png", "b.png", "old/c.png"):
        studio.write(f"{FOLDER}/{name}")
    studio.write("plan.txt")
    await studio.submitted(project_files=group(studio))
    assert sent(studio) == {
        *("demo/scene.blend", "demo/plan.txt"),
        *("demo/tex/a.png", "demo/tex/b.png", "demo/tex/old/c.png"),
    }
    for name in ("a.png", "old/c.png"):
        (studio.project / FOLDER / name).unlink()
    (studio.project / "plan.txt").unlink()


@pytest.mark.parametrize("how", ["whole", "folder", "listed"])
async def test_what_is_gone_from_a_folder_leaves_the_project(studio: Studio, how: str) -> None:
    await fill(studio)
    files = {
        "whole": group(studio),
        "folder": group(studio, files=["scene.blend", FOLDER]),
        "listed": listed(studio, "tex/b.png"),
    }[how]
    await studio.submitted(project_files=files)
    kept = {"demo/scene.blend", "demo/tex/b.png"}
    # It lies in no folder that was added again, unless all of the project was.
    assert sent(studio) == kept | (set() if how == "whole" else {"demo/plan.txt"})


async def test_what_is_not_named_again_stays(studio: Studio) -> None:
    await fill(studio)
    before = sent(studio)
    await studio.submitted(project_files=group(studio, files=["scene.blend"]))
    assert sent(studio) == before


async def test_a_folder_may_have_become_empty(studio: Studio) -> None:
    await fill(studio)
    (studio.project / FOLDER / "b.png").unlink()
    await studio.submitted(project_files=listed(studio))
    assert sent(studio) == {"demo/scene.blend", "demo/plan.txt"}


async def test_an_upload_counts_as_well(studio: Studio) -> None:
    await fill(studio)
    await studio.sign_in()
    upload = {"upload": [group(studio, files=[FOLDER])]}
    (await studio.http.post("/upload", json=upload)).raise_for_status()
    await until(lambda: sent(studio) == {"demo/scene.blend", "demo/plan.txt", "demo/tex/b.png"})


async def test_what_is_there_and_was_left_out_stays(studio: Studio) -> None:
    await fill(studio)
    studio.write("tex/a.png", b"again")
    # As a client does that leaves results out.
    await studio.submitted(project_files=listed(studio, "tex/b.png"))
    assert "demo/tex/a.png" in sent(studio)
    assert "demo/tex/old/c.png" not in sent(studio)


async def test_a_folder_that_is_not_there_takes_nothing_with_it(studio: Studio) -> None:
    """As that of a disk which is not mounted any more when its submission has its turn."""
    studio.write("tex/a.png")
    studio.write("tex/b.png")
    await studio.submitted(project_files=group(studio))
    before = sent(studio)
    studio.farm.faults.append(Fault("GET", "/v1/projects/demo/files", "hold"))
    entry = await studio.submit(project_files=group(studio, files=[], folders=[FOLDER]))
    await until(studio.farm.held.is_set)
    studio.project.rename(studio.root / "elsewhere")
    studio.farm.released.set()
    await studio.until_state(entry, "submitted")
    assert sent(studio) == before


async def test_a_file_may_become_a_folder(studio: Studio) -> None:
    path = studio.write(f"{FOLDER}/wood")
    await studio.submitted(project_files=group(studio))
    path.unlink()
    studio.write(f"{FOLDER}/wood/oak.png")
    await studio.submitted(project_files=group(studio))
    assert sent(studio) == {"demo/scene.blend", "demo/tex/wood/oak.png"}


async def test_a_folder_outside_the_project_is_refused(studio: Studio) -> None:
    await studio.sign_in()
    studio.write("scene.blend")
    body = studio.body(project_files=group(studio, files=[], folders=["../elsewhere"]))
    answer = await studio.http.post("/project-submit", json=body)
    assert answer.status_code == 400
    assert "project_files.folders" in answer.json()["errors"]


async def test_a_farm_learns_nothing_of_what_a_link_leads_to(studio: Studio) -> None:
    outside = studio.root / "elsewhere"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    studio.write(f"{FOLDER}/a.png")
    await studio.submitted(project_files=group(studio))
    files = studio.farm.manifests[EMAIL, "demo"]
    (some,) = (each for each in files.values() if each.path == "demo/tex/a.png")
    for name in ("secret", "nothing"):
        path = f"demo/tex/link/{name}"
        files[path] = some.model_copy(update={"path": path})
    (studio.project / FOLDER / "link").symlink_to(outside)
    await studio.submitted(project_files=group(studio))
    assert sent(studio) == {"demo/scene.blend", "demo/tex/a.png"}


async def test_what_was_to_be_removed_is_so_after_a_restart(start: Start) -> None:
    studio = await start()
    await studio.sign_in()
    await fill(studio)
    # The farm does not answer, and Envoy is stopped meanwhile.
    studio.farm.faults.append(Fault("POST", "/v1/projects/demo/files/remove", "hold"))
    entry = await studio.submit(project_files=listed(studio, "tex/b.png"))
    await until(studio.farm.held.is_set)
    assert "demo/tex/a.png" in sent(studio)
    await start.stop()
    studio.farm.released.set()
    studio = await start()
    await studio.until_state(entry, "submitted")
    assert "demo/tex/a.png" not in sent(studio)


@pytest.mark.parametrize("page", ["still", "endless", "wide"])
async def test_a_farm_whose_list_never_ends_is_not_listened_to(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr("envoy.upload.transfer.MOST_LISTED", 1000)
    await fill(studio)
    asked = 0

    async def lies(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        rows = {"still": range(3), "endless": range(asked * 100, asked * 100 + 100)}
        files = [
            {"path": f"demo/tex/{number:09d}", "hash": "0" * 64, "size": 1}
            for number in rows.get(page, range(6000))
        ]
        await JSONResponse({"files": files, "more": True})(scope, receive, send)

    listing = Fault("GET", "/v1/projects/demo/files", lies, times=10**6)
    studio.farm.faults.append(listing)
    entry = await studio.submit(project_files=listed(studio, "tex/b.png"))
    if page != "endless":  # That is only left, after so many.
        wide = page == "wide"
        name = "farms-answer-to-has-faults" if wide else "farms-list-never-ends"
        await waits_for(studio, saying(name))
        studio.farm.faults.remove(listing)
    await studio.until_state(entry, "submitted")
    assert asked <= 20
