"""The published tables of job parameters, and ours.

What is published must be there, take what is published, and be required nowhere else.
"""

from typing import Any

import pytest
from farm.products import BUILT_IN, Template
from messages import saying
from published import BOOL, DICT, LIST, NUMBER, PUBLISHED, TEXT
from pydantic import JsonValue

CHOICES: list[tuple[str, str, dict[str, Any]]] = [
    # product, parameter, value as published -> what is rendered
    ("vray", "rt_engine", {"0": "0", "1": "1", "3": "3", "5": "5"}),
    ("vray", "sampling_type", {"bucket": "bucket", "progressive": "progressive"}),
]
OURS = {TEXT: {"string", "path"}, NUMBER: {"int", "string"}, BOOL: {"bool"}, LIST: {"list"}}
OURS |= {DICT: {"object"}}
"""Published type -> types of ours. A number with a meaning each is a choice."""

SAMPLES: dict[str, list[JsonValue]] = {
    BOOL: [True, False],
    NUMBER: [1, 1.0],
    LIST: [["a/.+", "b"], []],
    DICT: [{"a": "b"}, {}],
}
UNSET: tuple[JsonValue, ...] = ("", 0, False, [], {})
NAMED = {
    ("blender", "output_format"): "PNG",
    ("c4d", "output_format"): "PNG",
    ("maya", "output_format"): "EXR",
    ("maya", "renderer"): "file",
    ("vray", "output_format"): "EXR",
    ("vray", "rt_engine"): "0",
}
"""Defaults that are a choice; what is published tells none."""


def template(app: str) -> Template:
    found = BUILT_IN.load(app, "render")
    assert found is not None
    return found


ROWS = [(app, name, *row) for app, rows in PUBLISHED.items() for name, row in rows.items()]


@pytest.mark.parametrize(("app", "name", "kind", "optional"), ROWS)
def test_a_published_parameter_is_there(app: str, name: str, kind: str, optional: bool) -> None:
    (parameter,) = (each for each in template(app).parameters if each.name == name)
    assert parameter.type in OURS[kind]
    # Of the others, only the frames have no value that could stand in.
    assert parameter.required is (name == "frames")
    assert not (optional and parameter.required)
    if not parameter.required:
        default = NAMED.get((app, name), "frame_" if name == "output_prefix" else None)
        assert parameter.default == default or (default is None and parameter.default in UNSET)


@pytest.mark.parametrize(
    ("app", "name", "kind"), [(app, name, kind) for app, name, kind, _ in ROWS if kind in SAMPLES]
)
def test_it_takes_values_of_its_type(app: str, name: str, kind: str) -> None:
    for value in SAMPLES[kind]:
        (parameter,) = (each for each in template(app).parameters if each.name == name)
        if parameter.least is None:
            parameter.parse(value)


@pytest.mark.parametrize(("app", "name", "values"), CHOICES)
def test_it_takes_the_published_values(app: str, name: str, values: dict[str, Any]) -> None:
    (parameter,) = (each for each in template(app).parameters if each.name == name)
    for value, rendered in values.items():
        assert parameter.parse(value) == rendered
        if value.isdigit():
            assert parameter.parse(int(value)) == parameter.parse(float(value)) == rendered


def test_nothing_else_is_required() -> None:
    for app, rows in PUBLISHED.items():
        for parameter in template(app).parameters:
            assert parameter.name in rows or not parameter.required


@pytest.mark.parametrize(
    ("app", "params", "field", "message"),
    [
        (
            "blender",
            {"output_width": 2},
            "output_width",
            saying("too-small-minimum-0-none", 2, 4),
        ),
        ("blender", {"tile_size": 3}, "tile_size", saying("too-small-minimum-0-none", 3, 8)),
        (
            "vray",
            {"output_width": 10**9, "output_height": 8},
            "output_width",
            saying("too-large-maximum", 10**9, 65536),
        ),
        ("vray", {"rt_engine": True}, "rt_engine", saying("text-expected")),
        ("vray", {"rt_engine": 2.0}, "rt_engine", saying("not-valid-value-use", "0, 1, 3, 5, 7")),
        ("vray", {"rt_engine": 0.5}, "rt_engine", saying("text-expected")),
    ],
)
def test_bounds_of_renders(app: str, params: dict[str, Any], field: str, message: saying) -> None:
    errors = template(app).validate({"frames": "1", **params}).errors
    assert errors == {field: [message]}


@pytest.mark.parametrize(
    ("params", "field", "message"),
    [
        ({"codec": "H264", "quality": 52}, "quality", saying("too-large-for-value", "H264", 51)),
        ({"codec": "prores", "quality": 7}, "quality", saying("too-large-for-value", "PRORES", 6)),
        ({"codec": "AV1", "quality": -1}, "quality", saying("too-small-minimum", -1, 0)),
        ({"codec": "AV1", "quality": 64}, "quality", saying("too-large-maximum", 64, 63)),
        ({"scale_width": 10**9}, "scale_width", saying("too-large-maximum", 10**9, 16384)),
        ({"scale_height": 1}, "scale_height", saying("too-small-minimum-0-none", 1, 2)),
    ],
)
def test_bounds_of_films(params: dict[str, Any], field: str, message: saying) -> None:
    film = BUILT_IN.load("ffmpeg", "transcode")
    assert film is not None
    assert film.validate({"codec": "AV1", "quality": 63}).errors == {}
    assert film.validate(params).errors == {field: [message]}


@pytest.mark.parametrize(
    ("renderer", "plugins", "lacks"),
    [
        ("arnold", [], "mtoa"),
        ("arnold", ["mtoa:5.3.1"], ""),
        ("V-Ray", ["mtoa"], "maya_vray"),
        ("redshift", [], "maya_redshift"),
        ("prman", [], "maya_prman"),
        ("file", [], ""),
        ("mayaSoftware", [], ""),
    ],
)
def test_a_renderer_of_maya_needs_its_plug_in(
    renderer: str, plugins: list[str], lacks: str
) -> None:
    maya = template("maya")
    checked = maya.validate({"frames": "1", "renderer": renderer})
    assert checked.errors == {}
    told = maya.lacks_plugin(checked.values, plugins)
    assert list(told) == ["renderer"] * bool(lacks)
    assert lacks in str(told)
