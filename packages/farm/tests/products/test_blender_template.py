"""The Blender template: what a job may say, and what comes of it."""

import importlib.util
from dataclasses import FrozenInstanceError
from pathlib import Path, PurePosixPath

import pytest
import yaml
from farm.products import BUILT_IN, ProductError, Template
from farm.products.shared.farm_numbering import numbered
from farm_protocol.paths import canonical
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying, says
from pydantic import JsonValue


@pytest.fixture(scope="module")
def template() -> Template:
    found = BUILT_IN.load("blender", "render")
    assert found is not None
    return found


def blender() -> Template:
    found = BUILT_IN.load("blender", "render")
    assert found is not None
    return found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_the_documented_table(template: Template) -> None:
    assert [(p.name, p.type, p.required, p.default) for p in template.parameters] == [
        ("frames", "string", True, None),
        ("output_prefix", "string", False, "frame_"),
        ("output_format", "string", False, "PNG"),
        ("engine", "string", False, ""),
        ("gpu", "bool", False, False),
        ("gpu_devices", "string", False, ""),
        ("output_width", "int", False, 0),
        ("output_height", "int", False, 0),
        ("scene", "string", False, ""),
        ("view_layer", "string", False, ""),
        ("camera", "string", False, ""),
        ("samples", "int", False, 0),
        ("tile_size", "int", False, 0),
        ("missing_files", "string", False, "fail"),
        ("frame_timeout", "int", False, 0),
        ("silence_timeout", "int", False, 0),
    ]
    assert all(p.description.endswith(".") for p in template.parameters)


def test_it_is_a_valid_openjd_template(template: Template) -> None:
    from openjd.model import decode_job_template

    content = yaml.safe_load(template.path.read_text())
    decoded = decode_job_template(template=content, supported_extensions=["TASK_CHUNKING"])
    assert decoded.steps[0].name == "render"


def test_the_words_next_door_fit_the_template(template: Template) -> None:
    by_name = {p.name: p for p in template.parameters}
    for parameter in template.parameters:
        assert set(parameter.aliases.values()) <= set(parameter.choices)
        for word in parameter.refused:
            assert word not in parameter.aliases
    assert template.outputs is not None
    assert set(template.outputs.extensions) == set(by_name["output_format"].choices)
    assert (template.scripts / "start.py").is_file()


def test_lookup() -> None:
    assert ("blender", "render") in BUILT_IN.available()
    assert BUILT_IN.load("blender", "render") is BUILT_IN.load("blender", "render")
    assert BUILT_IN.load("blender", "sim") is None
    assert BUILT_IN.load("../blender", "render") is None
    with pytest.raises(ProductError):
        BUILT_IN.template("../blender_render")


@pytest.mark.parametrize(
    ("name", "given_value", "value"),
    [
        ("frames", 5, "5"),
        ("frames", "1 10 2, 20", "1 10 2, 20"),
        ("output_format", "jpg", "JPEG"),
        ("output_format", "Exr", "OPEN_EXR"),
        ("output_format", "open-exr multilayer", "OPEN_EXR_MULTILAYER"),
        ("output_format", ".tif", "TIFF"),
        ("output_format", "png", "PNG"),
        ("output_format", "", "PNG"),
        ("output_format", None, "PNG"),
        ("engine", "eevee", "BLENDER_EEVEE"),
        ("engine", "BLENDER_EEVEE_NEXT", "BLENDER_EEVEE"),
        ("engine", "Cycles", "CYCLES"),
        ("engine", "workbench", "BLENDER_WORKBENCH"),
        ("engine", "", ""),
        ("gpu", "true", True),
        ("gpu", "False", False),
        ("gpu", 1, True),
        ("gpu", 0, False),
        ("gpu", None, False),
        ("output_prefix", "beauty/shot_####", "beauty/shot_####"),
        ("engine", "V-Ray", "VRAY_RENDER_RT"),
        ("output_width", "1920", 1920),
        ("samples", 0, 0),
        ("camera", "Camera.001", "Camera.001"),
        ("gpu_devices", "", ""),
    ],
)
def test_accepted(
    template: Template, name: str, given_value: int | str | None, value: bool | int | str
) -> None:
    checked = template.validate({"frames": "1", name: given_value})
    assert checked.errors == {}
    assert checked.warnings == []
    assert checked.values[name] == value


VIDEO = saying("no-video-formats")
OLD_ENGINE = saying("old-blender-internal-engine-no")
DEVICES = saying("name-cuda-optix-hip-oneapi")


@pytest.mark.parametrize(
    ("name", "given_value", "said"),
    [
        ("frames", None, saying("field-required", "frames")),
        ("frames", "", saying("field-required", "frames")),
        ("frames", [1, 2], saying("text-expected")),
        ("frames", True, saying("text-expected")),
        ("output_format", "mp4", saying("not-valid-value", "mp4", VIDEO)),
        ("output_format", "gif", saying("not-valid-value-use", "gif", "PNG, JPEG, OPEN_EXR")),
        (
            "engine",
            "luxcore",
            saying(
                "not-valid-value-use",
                "luxcore",
                "CYCLES, BLENDER_EEVEE, BLENDER_WORKBENCH, VRAY_RENDER_RT",
            ),
        ),
        ("engine", "blender_render", saying("not-valid-value", "blender_render", OLD_ENGINE)),
        ("gpu", "maybe", saying("neither-true-nor-false-use", "maybe")),
        ("gpu", 2, saying("neither-true-nor-false-use", 2)),
        ("output_prefix", "../x_", saying("not-valid-file-folder-name", "..")),
        ("output_prefix", "/x_", saying("prefix-begins-with-slash")),
        ("output_prefix", "a\\b", saying("contains-character")),
        ("output_prefix", "C:x", saying("contains-character")),
        ("output_prefix", "####/x", saying("frame-number-folders-name", "####/x")),
        ("output_prefix", "x" * 300, saying("longer-than-bytes")),
        ("output_prefix", "a\nb", saying("contains-control-characters")),
        ("output_width", -1, saying("too-small-minimum", -1, 0)),
        ("output_height", 65537, saying("too-large-maximum", 65537, 65536)),
        ("tile_size", 8193, saying("too-large-maximum", 8193, 8192)),
        ("samples", 1.5, saying("not-of-the-kind", "1.5", saying("whole-number"))),
        ("frame_timeout", -1, saying("too-small-minimum", -1, 0)),
        ("gpu_devices", "OPTIX", saying("needs-other-parameter", "gpu_devices", "gpu")),
        ("gpu_devices", "OPENCL", saying("not-valid-value", "OPENCL", DEVICES)),
        ("gpu_devices", "OPTIX:", saying("not-valid-value", "OPTIX:", DEVICES)),
    ],
)
def test_refused(template: Template, name: str, given_value: JsonValue, said: saying) -> None:
    errors = template.validate({"frames": "1", name: given_value}).errors
    assert errors.keys() == {name}
    assert errors[name][0] == said
    assert errors[name][0].endswith(".")


@pytest.mark.parametrize("devices", ["OPTIX", "cuda:0", "HIP:0,2"])
def test_devices_go_with_gpu(template: Template, devices: str) -> None:
    checked = template.validate({"frames": "1", "gpu": True, "gpu_devices": devices})
    assert checked.errors == {}
    assert checked.values["gpu_devices"] == devices


def test_a_plug_in_gets_what_it_needs(template: Template) -> None:
    (needs,) = template.needs_of(["blender_vray:6.20.1", "other"])
    assert needs.licences
    assert "BLENDER_USER_SCRIPTS" in needs.folders
    assert template.needs_of(["other"]) == []
    assert not template.licences


def test_all_errors_at_once_and_unknown_parameters_kept(template: Template) -> None:
    checked = template.validate(
        {"gpu": "x", "output_format": "y", "output_prefixx": 3, "Python": "z"}
    )
    assert checked.errors.keys() == {"frames", "gpu", "output_format"}
    assert checked.values["output_prefixx"] == 3
    assert len(checked.warnings) == 2
    assert says(checked.warnings[0], "did-you-mean", "output_prefix")


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["frames", "output_prefix", "output_format", "engine", "gpu", "other"]),
        json_values,
    )
)
def test_any_value_is_either_valid_or_explained(params: dict[str, JsonValue]) -> None:
    template = blender()
    checked = template.validate(params)
    known = {p.name: p for p in template.parameters}
    assert set(checked.errors) <= set(known)
    assert all(text for texts in checked.errors.values() for text in texts)
    if checked.errors:
        return
    again = template.validate(checked.values)
    assert again.errors == {}
    # NaN in an unknown parameter is not equal to itself.
    assert {n: again.values[n] for n in known} == {n: checked.values[n] for n in known}


@settings(deadline=None)
@given(st.text(max_size=40), st.integers(-1_048_574, 1_048_574))
def test_an_accepted_prefix_names_safe_and_distinct_files(prefix: str, frame: int) -> None:
    template = blender()
    checked = template.validate({"frames": "1", "output_prefix": prefix})
    if checked.errors:
        return
    files = template.output_files(checked.values, [frame, frame + 1])
    (name,) = files[frame]
    assert canonical(name) == name
    assert ".." not in PurePosixPath(name).parts
    assert files[frame] != files[frame + 1]


def test_file_names_are_blenders(template: Template) -> None:
    values = template.validate({"frames": "1"}).values
    # Seen in Blender 3.4.1: the sign is not one of the four digits.
    assert template.output_files(values, [-3, 5, 12345]) == {
        -3: ["frame_-0003.png"],
        5: ["frame_0005.png"],
        12345: ["frame_12345.png"],
    }
    values = template.validate({"frames": "1", "output_prefix": "a/s_###_b"}).values
    assert template.output_files(values, [7]) == {7: ["a/s_007_b.png"]}


@given(
    st.text(alphabet="ab_/", min_size=1, max_size=12),
    st.integers(1, 8),
    st.integers(-99_999, 99_999),
)
def test_a_frame_number_stands_where_the_hashes_stood(prefix: str, count: int, frame: int) -> None:
    for signed, width in ((False, count + (frame < 0)), (True, count)):
        name = numbered(f"#{prefix}{'#' * count}.", frame, signed_digits=signed)
        digits = name.removeprefix(f"#{prefix}").removesuffix(".")
        assert int(digits) == frame
        assert len(digits) == max(width, len(str(frame)))


def test_importing_templates_loads_no_openjd() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from farm.products import BUILT_IN; BUILT_IN.load('blender', 'render');"
        "assert not [m for m in sys.modules if m.startswith('openjd')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_surface() -> None:
    import farm.products

    assert set(farm.products.__all__) == {
        "BUILT_IN", "SHARED", "Companion", "FileNames", "ImageSequence",
        "Library", "Name", "OpenJobTemplate", "Parameter", "Platform", "PlugIn",
        "ProductError", "Program", "SceneError", "SceneFiles", "SceneFormat", "SequenceError",
        "Server", "Strict", "Symptoms", "Template", "Text", "Timeout", "Trace", "Validated",
        "VersionProbe", "VersionText", "as_text", "checked", "even_runs", "faults",
        "load_scene_module", "load_yaml", "marked", "parse_sequence", "read_model",
    }  # fmt: skip
    with pytest.raises(FrozenInstanceError):
        blender().parameters[0].name = "other"  # type: ignore[misc]
    assert importlib.util.find_spec("farm.products") is not None
    assert Path(blender().path).is_file()
