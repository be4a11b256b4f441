"""What a watch's pattern cannot use: the client says it with the message that Envoy would say."""

import re
from pathlib import Path

import pytest
from farm_protocol.patterns import Construct, Pattern, PatternError
from gridmarkets import Project, WatchFile, errors
from gridmarkets._patterns import construct_in, message_about
from hypothesis import example, given, settings
from hypothesis import strategies as st
from messages import says

SAMPLES = {
    Construct.LOOK_AHEAD: ["a(?=b)", "a(?!b)", "(?:(?P<n>x)(?=b))", "(?!)"],
    Construct.LOOK_BEHIND: ["(?<=a)b", "(?<!a)b"],
    Construct.BACK_REFERENCE: [r"(a)\1", r"(?P<n>a)(?P=n)"],
    Construct.CONDITION: ["(a)?(?(1)b|c)"],
    Construct.ATOMIC_GROUP: ["(?>a)b"],
    Construct.WORD_BOUNDARY: [r"\ba", r"a\B."],
    Construct.POSSESSIVE: ["a*+", "a++", "a?+", "a{2}+", "[+]++", "a{1,}+"],
}


def said_by_envoy(pattern: str) -> str:
    try:
        Pattern(pattern, re.DOTALL)
    except PatternError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("construct", "patterns"), SAMPLES.items())
def test_the_same_message(construct: Construct, patterns: list[str]) -> None:
    for pattern in patterns:
        assert construct_in(pattern) == construct
        assert said_by_envoy(pattern) == message_about(construct)


PIECES = r"""
\1 \101 \01 \b [\b] []a] [^]+] [(?=] \[ \\ (?=x) (?: (?P<n> (?P=n) (?#(?=) (?i: ) ( | a + * ?
{2} {,3} {a} (?<=a) (?<!a) (?(1)a|b) (?>a) . ^ $ \+ ] } { - é
"""
pieces = st.sampled_from(PIECES.split())


@settings(max_examples=400, deadline=None)
@given(st.lists(pieces, max_size=6).map("".join))
@example("(?x)a # (?=b)")
@example(r"(?a)\bx")
@example("c++/out/.+")
def test_the_client_refuses_nothing_that_envoy_takes(pattern: str) -> None:
    found = construct_in(pattern)
    said = said_by_envoy(pattern)
    if says(said, "pattern-not-regular-expression"):
        return
    if found is not None:
        assert says(said, "pattern-uses-which-not-supported")
    elif not re.search(r"\(\?\w*[ax]", pattern):
        assert said == ""


def test_a_watch_is_refused_where_it_is_made() -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        WatchFile("/demo/(?=out).+", "/here")
    (message,) = caught.value.errors["watch_files.pattern"]
    assert message == said_by_envoy("/demo/(?=out).+")


def test_the_name_of_a_folder_is_no_possessive_repeat(tmp_path: Path) -> None:
    (tmp_path / "c++").mkdir()
    project = Project(str(tmp_path / "c++"), "c++")
    watch = WatchFile(f"{project.remote_output_folder}/.+", str(tmp_path / "out"))
    assert construct_in(watch.pattern_for(project.remote_output_folder)) is None
