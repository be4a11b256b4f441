"""Project, Job and WatchFile: names, folders, and which files are uploaded."""

import ntpath
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import gridmarkets
import pytest
from farm_protocol.paths import check_segment
from gridmarkets import EnvoyError, InvalidRequestError, Job, Project, WatchFile
from hypothesis import given
from hypothesis import strategies as st
from messages import saying, says


@pytest.fixture
def project(folder: Path) -> Project:
    return Project(str(folder))


def test_the_public_names_are_frozen() -> None:
    namespace: dict[str, object] = {}
    exec("from gridmarkets import *", namespace)
    assert set(namespace) - {"__builtins__"} == {
        "APIError", "ApIError", "AuthenticationError", "EnvoyClient", "EnvoyError",
        "InsufficientCreditsError", "InvalidRequestError", "Job", "ProductResolver", "Project",
        "WatchFile", "__version__",
    }  # fmt: skip
    assert gridmarkets.errors.InvalidRequestError is InvalidRequestError
    assert gridmarkets.envoy_client.EnvoyClient is gridmarkets.EnvoyClient
    assert gridmarkets.job.Job is Job


def test_the_stubs_say_what_the_modules_have(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "gridmarkets", "--ignore-missing-stub"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_names_default_to_the_folder_and_the_time(project: Project, folder: Path) -> None:
    assert project.name == "sample project"
    assert project.LocalRoot == project.local_root == str(folder)
    assert project.RemoteRoot == project.remote_root == "/sample project"
    assert str(project.timestamp.year) in project.submission_name
    assert project.output_folder_name == project.submission_name
    assert project.remote_output_folder == (
        "/sample project/render_results/" + project.submission_name
    )


def test_documented_keywords(folder: Path) -> None:
    project = Project(
        str(folder), name="other", submission_name="submission 1", output_folder_name="my_results"
    )
    assert project.RemoteRoot == "/other"
    assert project.submission_name == "submission 1"
    assert project.remote_output_folder == "/other/render_results/my_results"


def test_what_old_plug_ins_assign(project: Project) -> None:
    project.remote_output_folder_name = "later"
    assert project.remote_output_folder == "/sample project/render_results/later"
    project.remote_output_folder = "/sample project/out"
    assert project.remote_output_folder == "/sample project/out"
    with pytest.raises(InvalidRequestError):
        project.remote_output_folder = "/elsewhere"


def test_a_submission_name_that_cannot_be_a_folder(folder: Path) -> None:
    project = Project(str(folder), submission_name="take 1/2: final?")
    assert project.submission_name == "take 1/2: final?"
    assert project.output_folder_name == "take 1-2- final-"


@pytest.mark.parametrize(
    ("name", "folder_name"),
    [
        ("CON", "results-CON"),
        ("nul.txt", "results-nul.txt"),
        ("com1 .tar.gz", "results-com1 .tar.gz"),
        ("console", "console"),
        ("shot.", "shot"),
        ("shot ", "shot"),
        ("...", "results"),
        ("x" * 300, "x" * 200),
        ("ä" * 300, "ä" * 100),
        ("x" * 199 + ". y", "x" * 199),
        ("line\x85feed", "line-feed"),
    ],
)
def test_a_submission_may_be_called_anything(folder: Path, name: str, folder_name: str) -> None:
    project = Project(str(folder), submission_name=name)
    assert project.submission_name == name
    assert project.output_folder_name == folder_name
    assert check_segment(project.output_folder_name)


@pytest.mark.parametrize("name", ["a/b", "a\\b", "..", ".", "a:b", "a\n", "a ", "what?"])
def test_a_name_that_cannot_be_a_folder_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Project(str(folder), name=name)
    assert list(caught.value.errors) == ["name"]


def test_files_of_a_folder_and_a_whole_folder(project: Project, folder: Path) -> None:
    project.add_files(project.LocalRoot, project.RemoteRoot, ["scene.blend", "./scene.blend"])
    project.add_files(str(folder / "assets"), project.RemoteRoot + "/textures")
    assert project.files == ["scene.blend", "textures/deep/größe.png", "textures/wood.png"]


def test_the_same_by_keywords(project: Project, folder: Path) -> None:
    project.add_files(
        local_folder=str(folder / "assets"),
        remote_folder=project.RemoteRoot,
        files=[str(folder / "assets" / "wood.png")],
    )
    assert project.files == ["wood.png"]
    with pytest.raises(TypeError):
        project.add_files(local_folder=str(folder))  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        project.add_files("scene.blend", typo=1)  # type: ignore[call-overload]


def test_the_old_form(project: Project, folder: Path) -> None:
    project.add_files("scene.blend", str(folder / "assets" / "wood.png"))
    assert project.files == ["assets/wood.png", "scene.blend"]
    project.add_folders("assets")
    assert project.files == ["assets/deep/größe.png", "assets/wood.png", "scene.blend"]


def test_folders_that_were_added_as_a_whole_are_named(project: Project, folder: Path) -> None:
    project.add_files("scene.blend", "assets/wood.png")
    (group,) = project.file_groups()
    assert group["folders"] == []
    project.add_folders("assets", str(folder / "assets" / "deep"))
    (group,) = project.file_groups()
    assert group["folders"] == ["assets", "assets/deep"]
    project.add_files(project.LocalRoot, project.RemoteRoot)
    assert project.file_groups()[0]["folders"] == ["", "assets", "assets/deep"]


def test_an_emptied_folder_is_named_too(project: Project, folder: Path) -> None:
    (folder / "empty").mkdir()
    project.add_folders("empty")
    (group,) = project.file_groups()
    assert (group["files"], group["folders"]) == ([], ["empty"])


def test_a_local_folder_outside_the_project(project: Project, folder: Path) -> None:
    library = folder.parent / "sample project2"
    project.add_files(str(library), project.RemoteRoot + "/library")
    assert project.files == ["library/secret.txt"]


def test_a_file_added_in_many_ways_is_uploaded_once(project: Project, folder: Path) -> None:
    project.add_files("scene.blend", "scene.blend")
    project.add_files(project.LocalRoot, project.RemoteRoot)
    project.add_files(str(folder / "assets"), project.RemoteRoot + "/assets")
    assert len(project.files) == len(set(project.files)) == 3


def test_two_files_for_one_remote_path_are_refused(project: Project, folder: Path) -> None:
    (folder / "assets" / "scene.blend").write_text("another")
    project.add_files("scene.blend")
    project.add_files(str(folder / "assets"), project.RemoteRoot)
    with pytest.raises(
        InvalidRequestError, check=saying("two-folders-of-one-name", "/sample project/scene.blend")
    ):
        project.file_groups()


@pytest.mark.parametrize(
    "path", ["../sample project2/secret.txt", "/etc/hostname", "assets/../../sample project2"]
)
def test_paths_outside_are_ignored(project: Project, path: str) -> None:
    project.add_files("scene.blend", path)
    project.add_folders(path)
    project.add_files(project.LocalRoot, project.RemoteRoot, [path])
    assert project.files == ["scene.blend"]


def test_a_neighbour_whose_name_begins_the_same_is_outside(project: Project, folder: Path) -> None:
    project.add_files("scene.blend", str(folder) + "2/secret.txt")
    assert project.files == ["scene.blend"]


@pytest.mark.parametrize("remote", ["/elsewhere", "/sample project2", "/sample project/../x"])
def test_a_remote_folder_outside_is_refused(project: Project, folder: Path, remote: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        project.add_files(str(folder / "assets"), remote)
    assert "remote_folder" in caught.value.errors


def test_links_that_lead_out_do_not_leak(project: Project, folder: Path) -> None:
    outside = folder.parent / "sample project2"
    (folder / "assets" / "file link").symlink_to(outside / "secret.txt")
    (folder / "assets" / "folder link").symlink_to(outside)
    (folder / "assets" / "inner link").symlink_to(folder / "scene.blend")
    (folder / "assets" / "circle").symlink_to(folder)
    (folder / "assets" / "itself").symlink_to("itself")
    (folder / "assets" / "lost").symlink_to("nothing")
    project.add_files(project.LocalRoot, project.RemoteRoot)
    project.add_files("assets/file link", "assets/folder link/secret.txt")
    project.add_files(str(folder / "assets" / "folder link"), project.RemoteRoot + "/x")
    assert project.files == [
        "assets/deep/größe.png",
        "assets/inner link",
        "assets/wood.png",
        "scene.blend",
    ]


def test_what_is_left_out_is_named(project: Project, folder: Path) -> None:
    os.mkfifo(folder / "assets" / "pipe")
    (folder / "assets" / "lost").symlink_to("nothing")
    (folder / "assets" / "secrets").symlink_to(folder.parent / "sample project2")
    (folder / "assets" / "circle").symlink_to(folder)
    project.add_files("scene.blend", str(folder) + "2/secret.txt")
    project.add_files(project.LocalRoot, project.RemoteRoot)
    assert "assets/pipe" not in project.files
    told = "\n".join(project.skipped_files)
    assert len(project.skipped_files) == 5
    for name in ("assets/pipe", "assets/lost", "assets/secrets", "assets/circle", "secret.txt"):
        assert name in told
    assert project.files
    assert len(project.skipped_files) == 5


def test_folders_that_link_each_other_end(project: Project, folder: Path) -> None:
    for number in range(8):
        (folder / "assets" / str(number)).mkdir()
        for other in range(8):
            (folder / "assets" / str(number) / ("to %d" % other)).symlink_to("../%d" % other)
    gridmarkets._files.MOST_LINKED_FOLDERS, before = 100, gridmarkets._files.MOST_LINKED_FOLDERS
    try:
        project.add_files(project.LocalRoot, project.RemoteRoot)
        assert "scene.blend" in project.files
        assert any(
            says(message, "ignored-too-many-folders-reached") for message in project.skipped_files
        )
    finally:
        gridmarkets._files.MOST_LINKED_FOLDERS = before


def test_a_project_folder_that_is_a_link_itself(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "short").symlink_to(folder)
    project = Project(str(tmp_path / "short"))
    project.add_files(project.LocalRoot, project.RemoteRoot)
    assert "scene.blend" in project.files
    assert project.RemoteRoot == "/short"


def results_in(folder: Path, name: str) -> str:
    target = folder / name
    target.mkdir(parents=True)
    (target / "frame_0001.png").write_text("pixels")
    return str(target)


def test_downloaded_results_are_not_uploaded_again(project: Project, folder: Path) -> None:
    project.add_files(project.LocalRoot, project.RemoteRoot)
    before = project.files
    project.add_watch_files(WatchFile(".+", results_in(folder, "out/my_results")))
    assert project.files == before
    # Named on purpose, they are.
    project.add_files("out/my_results/frame_0001.png")
    assert project.files == sorted([*before, "out/my_results/frame_0001.png"])


def test_results_in_the_default_folder_are_not_uploaded_again(folder: Path) -> None:
    project = Project(str(folder), output_folder_name="my_results")
    project.add_files(project.LocalRoot, project.RemoteRoot)
    before = project.files
    results_in(folder, "my_results")
    results_in(folder, Project(str(folder)).output_folder_name)
    assert project.files == before


def test_a_project_that_downloads_into_itself_still_uploads(project: Project, folder: Path) -> None:
    project.add_files(project.LocalRoot, project.RemoteRoot)
    project.add_watch_files(WatchFile(".+", str(folder)), WatchFile("a", str(folder.parent)))
    assert len(project.files) == 3


def test_special_files_are_left_out(project: Project, folder: Path) -> None:
    os.mkfifo(str(folder / "pipe"))
    project.add_files(project.LocalRoot, project.RemoteRoot)
    assert "pipe" not in project.files


def test_paths_may_be_path_objects(folder: Path) -> None:
    project = Project(folder, name="p")
    project.add_files(folder / "assets", project.RemoteRoot, [folder / "assets" / "wood.png"])
    project.add_files(folder / "scene.blend")
    assert project.files == ["scene.blend", "wood.png"]


def test_a_windows_remote_folder_is_understood(project: Project, folder: Path) -> None:
    project.add_files(str(folder / "assets"), project.RemoteRoot + "\\textures\\")
    assert project.files[0].startswith("textures/")


NAMES = st.sampled_from(["a", "b", "a2", "..", ".", "ä b", ""])


@given(st.lists(NAMES, max_size=6), st.lists(st.sampled_from(["a", "b", "a2"]), max_size=3))
def test_containment_agrees_with_pathlib(path: list[str], parents: list[str]) -> None:
    from gridmarkets._files import path_inside

    folder = "/" + "/".join(parents)
    full = os.path.normpath(os.path.join(folder, *path))
    result = path_inside(os.path.join(folder, *path), folder)
    assert (result is not None) == PurePosixPath(full).is_relative_to(folder)
    if result is not None:
        assert os.path.normpath(os.path.join(folder, result)) == os.path.normpath(full)


def test_a_job_takes_documented_arguments() -> None:
    job = Job("n", "c4d", "R19", "render", "p/s.c4d", frames="0 0 1", plugins=None)
    assert (job.name, job.app, job.app_version, job.operation) == ("n", "c4d", "R19", "render")
    assert job.params["frames"] == "0 0 1"
    assert Job(name="n", app="hou", app_version="18", path="p/s.hip").operation == "render"
    assert Job("n", "hou", "18").id != job.id


def test_jobs_that_would_wait_for_each_other_are_refused() -> None:
    first, second, third = (Job(name, "hou", "18", path="p/s.hip") for name in "abc")
    second.add_dependencies(first, first)
    third.add_dependencies(second)
    assert second.dependencies == [first]
    for needed in (third, first):
        with pytest.raises(InvalidRequestError, check=saying("would-wait-each-other")):
            first.add_dependencies(needed)


@pytest.mark.parametrize(
    ("value", "action"),
    [
        ("50", Job.CREDITS_BUDGET_ACTION_STOP),
        (float("nan"), Job.CREDITS_BUDGET_ACTION_STOP),
        (float("inf"), Job.CREDITS_BUDGET_ACTION_STOP),
        (True, Job.CREDITS_BUDGET_ACTION_STOP),
        (50, "EXPLODE"),
        (50, None),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(value: Any, action: Any) -> None:
    job = Job("n", "hou", "18")
    with pytest.raises(InvalidRequestError) as caught:
        job.set_credits_budget(value=value, action=action)
    assert "credits_budget" in caught.value.errors
    assert job.credits_budget is None


@pytest.mark.parametrize(
    ("pattern", "folder"), [("(unclosed", "out"), ("", "out"), ("a{2,1}", "out"), (".+", " ")]
)
def test_a_watch_that_makes_no_sense_is_refused(pattern: str, folder: str) -> None:
    with pytest.raises(InvalidRequestError):
        WatchFile(pattern, folder)


@pytest.mark.parametrize("name", ["shot+lights", "v1.2 (final)", "a^b$[c]{2}"])
def test_the_documented_pattern_matches_results_of_projects_with_odd_names(
    folder: Path, name: str
) -> None:
    project = Project(str(folder), name=name, output_folder_name="r")
    watch = WatchFile(f"{project.remote_output_folder}/.+", "out")
    sent = watch.pattern_for(project.remote_output_folder)
    assert re.match(sent + r"\Z", project.remote_output_folder + "/frame_0001.png")


def test_errors_print_and_travel_whatever_they_say() -> None:
    error = InvalidRequestError(errors={"jobs[0].näme": ["wröng"]}, http_status=400)
    assert str(error) == error.user_message == "jobs[0].näme: wröng"
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.errors, copy.http_status, str(copy)) == (error.errors, 400, str(error))
    for kind in (gridmarkets.APIError, gridmarkets.AuthenticationError, EnvoyError):
        assert str(kind()).endswith(".")
    assert gridmarkets.ApIError is gridmarkets.APIError


WINDOWS = [
    ("C:\\proj\\a\\b.png", "C:\\proj", "a/b.png"),
    ("c:/PROJ/A/b.png", "C:\\proj", "A/b.png"),
    ("C:\\proj", "c:\\Proj\\", ""),
    ("C:\\proj2\\a.png", "C:\\proj", None),
    ("C:\\proj\\..\\other\\a.png", "C:\\proj", None),
    ("D:\\proj\\a.png", "C:\\proj", None),
    ("C:\\a.png", "C:\\", "a.png"),
    ("\\\\server\\share\\proj\\a.png", "\\\\SERVER\\Share\\proj", "a.png"),
    ("\\\\server\\other\\proj\\a.png", "\\\\server\\share\\proj", None),
    ("\\\\server\\share\\a.png", "C:\\proj", None),
    ("C:\\proj\\größe\\東京.png", "C:\\proj", "größe/東京.png"),
]


@pytest.mark.parametrize(("path", "folder", "expected"), WINDOWS)
def test_containment_on_windows(path: str, folder: str, expected: str | None) -> None:
    from gridmarkets._files import path_inside

    assert path_inside(path, folder, ntpath) == expected


WINDOWS_NAMES = st.lists(st.sampled_from(["a", "B", "a2", "..", "ä b"]), max_size=5)


@given(WINDOWS_NAMES, st.lists(st.sampled_from(["a", "B", "a2"]), max_size=3), st.booleans())
def test_containment_on_windows_agrees_with_pathlib(
    path: list[str], parents: list[str], shout: bool
) -> None:
    from gridmarkets._files import path_inside

    folder = "C:\\" + "\\".join(parents)
    full = ntpath.normpath(ntpath.join(folder, *path))
    result = path_inside(ntpath.join(folder.upper() if shout else folder, *path), folder, ntpath)
    assert (result is not None) == PureWindowsPath(full).is_relative_to(folder)
    if result is not None:
        assert "\\" not in result
        assert PureWindowsPath(folder, result) == PureWindowsPath(full)


@pytest.mark.parametrize("path", ["sample project\\scene.blend", "\\sample project\\scene.blend"])
def test_a_windows_job_path_is_understood(path: str) -> None:
    from gridmarkets._files import remote_inside

    assert remote_inside(path, "/sample project") == "scene.blend"
