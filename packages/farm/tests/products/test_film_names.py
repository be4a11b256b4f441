"""How a film is called: by its prefix alone, as no frame number follows it."""

import pytest
from farm.products import BUILT_IN
from messages import saying
from pydantic import JsonValue


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ({}, "movie.mp4"),
        ({"output_prefix": None}, "movie.mp4"),
        ({"output_prefix": "shot_010"}, "shot_010.mp4"),
        ({"output_prefix": "films/shot_010"}, "films/shot_010.mp4"),
        ({"output_prefix": "films/.cut", "codec": "prores"}, "films/.cut.mov"),
    ],
)
def test_a_film_has_a_name(given: dict[str, JsonValue], file: str) -> None:
    template = BUILT_IN.template("ffmpeg_transcode")
    checked = template.validate(given)
    assert checked.errors == {}
    assert template.output_files(checked.values, [1, 2]) == {1: [], 2: [file]}


@pytest.mark.parametrize(
    ("prefix", "instead"), [("", "movie"), ("films/", "films/movie"), ("a/b/", "a/b/movie")]
)
def test_a_prefix_that_would_hide_the_film_is_refused(prefix: str, instead: str) -> None:
    checked = BUILT_IN.template("ffmpeg_transcode").validate({"output_prefix": prefix})
    assert checked.errors == {
        "output_prefix": [
            saying("prefix-has-no-file-name", "output_prefix", prefix, instead, "output_prefix")
        ]
    }


@pytest.mark.parametrize(("prefix", "file"), [("", "0001.png"), ("films/", "films/0001.png")])
def test_images_need_no_name_beside_their_number(prefix: str, file: str) -> None:
    template = BUILT_IN.template("blender_render")
    checked = template.validate({"frames": "1", "output_prefix": prefix})
    assert checked.errors == {}
    assert template.output_files(checked.values, [1]) == {1: [file]}
