import pytest
from envoy.errors import InvalidRequestError
from envoy.submissions.compose import compose
from envoy.submissions.wire import SubmitBody
from farm_protocol.jobs import JobSpec
from messages import says
from published import BOOL, DICT, LIST, NUMBER, PUBLISHED, TEXT
from pydantic import JsonValue

SAMPLES: dict[str, JsonValue] = {TEXT: "a", NUMBER: 7, BOOL: True, LIST: ["*.exr"], DICT: {"a": 1}}


def composed(app: str, params: dict[str, JsonValue], **project: JsonValue) -> JobSpec:
    job: dict[str, JsonValue] = {"name": "beauty", "app": app, "path": "demo/s", "params": params}
    body = {"project_request": {"params": project, "jobs": [job]}}
    return compose(SubmitBody.model_validate(body)).spec.jobs[0]


@pytest.mark.parametrize("app", sorted(PUBLISHED))
def test_every_published_parameter_reaches_the_farm(app: str) -> None:
    params = {name: SAMPLES[kind] for name, (kind, _) in PUBLISHED[app].items()}
    assert composed(app, {**params, "output_dir_name": "out"}).params == params


def test_parameters_of_the_project_reach_each_job() -> None:
    job = composed("hou", {"project_env": {"JOB": "b"}}, output_upload=["*.exr"], project_env={})
    assert job.params == {"project_env": {"JOB": "b"}, "output_upload": ["*.exr"]}


@pytest.mark.parametrize("app", sorted(set(PUBLISHED) - {"hou"}))
def test_what_means_something_to_houdini_does_not_reach_a_projects_other_jobs(app: str) -> None:
    of_houdini: dict[str, JsonValue] = {
        "output_upload": ["*.exr"],
        "project_env": {"JOB": "b"},
        "project_param": {"/out/beauty/samples": 4},
        "project_param_output": ["/out/beauty/vm_picture"],
        "project_summary_log_file": "summary.log",
    }
    assert composed("hou", {}, **of_houdini).params == of_houdini
    job = composed(app, {"frames": "1"}, **of_houdini, of_the_studio=1)
    assert job.params == {"frames": "1", "of_the_studio": 1}


@pytest.mark.parametrize(
    ("patterns", "meant"),
    [
        (["*.exr", "beauty.$F4.*"], ["*.exr", "beauty.$F4.*"]),
        ("*.exr", "*.exr"),
        # What old clients say of the farm's storage: everything in the results folder.
        (["/demo/render_results/out/.+"], None),
        (["/demo/render\\_results/out/.+", "*.exr"], None),
    ],
)
def test_old_words_about_storage_select_no_files(patterns: JsonValue, meant: JsonValue) -> None:
    assert composed("hou", {"output_upload": patterns}).params.get("output_upload") == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [(True, True), ("true", True), (1, True), (False, False), ("", False), (None, False)],
)
def test_test_frames_first_is_the_farms_and_not_a_parameter(given: object, meant: bool) -> None:
    job = {
        "name": "beauty",
        "app": "blender",
        "path": "demo/scene.blend",
        "params": {"frames": "1 10", "test_frames_first": given},
    }
    body = SubmitBody.model_validate({"project_request": {"jobs": [job]}})
    composed = compose(body).spec.jobs[0]
    assert composed.test_frames_first is meant
    assert composed.params == {"frames": "1 10"}


@pytest.mark.parametrize("field", ["instances", "credits_budget"])
def test_a_number_of_any_length_is_refused_by_name(field: str) -> None:
    number = 10**400
    value: JsonValue = {"value": number, "action": "STOP"} if field == "credits_budget" else number
    with pytest.raises(InvalidRequestError) as caught:
        composed("blender", {field: value})
    assert list(caught.value.errors) == [f"jobs[0].{field}"]


@pytest.mark.parametrize(
    ("job", "field", "told"),
    [
        ({"id": "x" * 201}, "id", "too-long-maximum-shorten"),
        ({"params": {"instances": 100_001}}, "instances", "must-less"),
    ],
)
def test_what_the_farm_would_refuse_is_told_in_plain_words(
    job: dict[str, JsonValue], field: str, told: str
) -> None:
    given = {"name": "beauty", "app": "blender", "path": "demo/s", "params": {}} | job
    with pytest.raises(InvalidRequestError) as caught:
        compose(SubmitBody.model_validate({"project_request": {"jobs": [given]}}))
    assert says(caught.value.errors[f"jobs[0].{field}"][0], told)
