import pytest
from envoy.compose import compose
from envoy.wire import SubmitBody


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
