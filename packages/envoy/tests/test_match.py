"""Which results a watch wants."""

from contextlib import suppress

import pytest
from envoy.journal import Watch
from envoy.watch.match import compile_pattern, destinations, relative_to
from farm_protocol.paths import UnsafePathError, canonical
from hypothesis import assume, given
from hypothesis import strategies as st


def is_canonical(text: str) -> bool:
    try:
        return canonical(text) == text
    except UnsafePathError:
        return False


segments = st.text(min_size=1, max_size=12).filter(
    lambda text: "/" not in text and is_canonical(text)
)


@given(segments, segments, st.lists(segments, min_size=1, max_size=3))
def test_the_documented_pattern_finds_every_result_of_any_folder(
    project: str, name: str, below: list[str]
) -> None:
    folder = f"{project}/render_results/{name}"
    relative = "/".join(below)
    for pattern in (f"/{folder}/.+", f"{folder}/.+"):
        for path in (f"{folder}/{relative}", f"/{folder}/{relative}"):
            found = list(destinations(path, folder, [Watch(pattern, "/here")]))
            assert found == [("/here", relative)]


@given(segments, segments, segments, segments)
def test_results_of_other_folders_are_left_alone(
    project: str, name: str, other: str, file: str
) -> None:
    assume(name != other)
    folder = f"{project}/render_results/{name}"
    path = f"{project}/render_results/{other}/{file}"
    assert list(destinations(path, folder, [Watch(".*", "/here")])) == []


@given(st.text(max_size=30))
def test_any_text_is_either_a_pattern_or_refused(pattern: str) -> None:
    with suppress(ValueError):
        compile_pattern(pattern, "p/render_results/out")


@pytest.mark.parametrize(
    ("pattern", "relative", "wanted"),
    [
        (r"/shot \(v2\)/render_results/out/.+\.png", "a.png", True),
        ("/shot (v2)/render_results/out/.+[.]png", "a.png", True),
        ("/shot (v2)/render_results/out/.+[.]png", "a.exr", False),
        ("/shot (v2)/render_results/.+", "deep/a.exr", True),
        ("/shot (v2)/.+/a[.]exr", "a.exr", True),
        ("/shot (v2)/render_results/out.*", "a.exr", True),
        (".+", "a.exr", True),
        ("a.exr", "a.exr", False),
        ("/shot (v2)/render_results/out", "a.exr", True),
        ("/shot (v3)/.+", "a.exr", False),
    ],
)
def test_patterns(pattern: str, relative: str, wanted: bool) -> None:
    folder = "shot (v2)/render_results/out"
    found = list(destinations(f"{folder}/{relative}", folder, [Watch(pattern, "/x")]))
    assert bool(found) is wanted


def test_a_folder_gets_a_result_once_however_many_patterns_want_it() -> None:
    watches = [Watch(".+", "/a"), Watch("/p/.+", "/a"), Watch(".*", "/b")]
    found = list(destinations("p/render_results/o/f", "p/render_results/o", watches))
    assert found == [("/a", "f"), ("/b", "f")]


def test_relative_to_does_not_confuse_neighbours() -> None:
    assert relative_to("p/out2/f", "p/out") is None
    assert relative_to("p/out", "p/out") is None
    assert relative_to("/p/out/f", "p/out") == "f"
