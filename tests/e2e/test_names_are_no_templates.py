"""Names full of the marks of templates go through all of it, and come out as they went in."""

import shutil
from pathlib import Path

from gridmarkets import Project, WatchFile

from .conftest import SAMPLE, Studio

NAME = "a {parent} {0} %04d %s $HOME [x] ~ `id` {{Param.Frame}} é"


def test_a_job_of_such_names_is_rendered_and_delivered(studio: Studio) -> None:
    local = studio.folder / NAME
    shutil.copytree(SAMPLE, local / NAME)
    (local / NAME / "scene.blend").rename(local / NAME / f"{NAME}.blend")
    project = Project(str(local), name=NAME, submission_name=NAME)
    project.add_files(str(local), project.RemoteRoot)
    results = studio.folder / "results" / NAME
    pattern = f"{project.remote_output_folder}/.+"
    project.add_watch_files(WatchFile(pattern, str(results)))
    job = studio.job(
        f"{NAME}/{NAME}/{NAME}.blend", name=NAME, frames="1 2", output_prefix=f"{NAME}/{NAME}_"
    )
    project.add_jobs(job)
    studio.client().submit_project(project)
    studio.wait_for_job("completed")
    wanted = [Path(NAME) / f"{NAME}_{frame:04d}.png" for frame in (1, 2)]

    def delivered() -> bool:
        files = [each for each in results.rglob("*") if each.is_file()]
        return sorted(each.relative_to(results) for each in files) == wanted

    studio.until(delivered, "both frames have arrived under their names")
    assert studio.job_now()["name"] == NAME
