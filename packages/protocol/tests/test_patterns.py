"""Patterns that users give: what Python's `re` means, in time that nobody can stretch."""

import re
import time
from contextlib import suppress

import pytest
from farm_protocol.patterns import (
    MOST_PATTERN_CHARACTERS,
    Construct,
    Pattern,
    PatternError,
)
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from messages import says

LETTERS = "aAbBzkKſsSßẞiIİıäÄéǅµμΜͅισςΣ漢0٣½²_-./\\ \t\n\u2028\xa0\U0001f600"
"""Of every kind that `re` tells apart: cases that fold oddly, digits, spaces, and others."""

literals = st.sampled_from(LETTERS).map(re.escape)
classes = st.sampled_from([r"\w", r"\W", r"\d", r"\D", r"\s", r"\S"])
set_items = st.lists(
    st.one_of(literals, classes, st.sampled_from(["a-z", "A-Z", "ä-ÿ", "0-9", r"\x00-\uffff"])),
    min_size=1,
    max_size=4,
)
sets = st.builds("[{}{}]".format, st.sampled_from(["", "^"]), set_items.map("".join))
places = st.sampled_from(["^", "$", r"\A", r"\Z"])
quantifiers = st.sampled_from(["*", "+", "?", "{0}", "{2}", "{1,2}", "{,2}", "{1,}", "*?", "??"])
flags = st.sampled_from(["", "i", "s", "m", "a", "u", "im", "-i", "-s", "-m", "i-s", "s-i"])


def extended(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: f"(?:{'|'.join(each)})"),
        st.builds("(?:{}){}".format, inner, quantifiers),
        st.builds("(?{}:{})".format, flags, inner),
        inner.map("({})".format),
    )


patterns = st.recursive(
    st.one_of(literals, classes, sets, places, st.just(".")), extended, max_leaves=6
)
texts = st.text(LETTERS, max_size=8)
whole_flags = st.sampled_from([0, re.DOTALL, re.IGNORECASE, re.DOTALL | re.MULTILINE, re.ASCII])


@pytest.mark.filterwarnings("ignore:Possible nested set")
@settings(max_examples=600, deadline=None)
@given(patterns, texts, whole_flags)
@example("(?i)i", "İ", re.DOTALL)
@example("(?i)[^ι]", "\u0345", 0)
@example("(?i)[\\W]", "ι", 0)
@example("(?x) a [ ] # comment\n b", "a b", 0)
@example("[[:alpha:]]", ":]", 0)
@example(r"\x41\u00e4\101\0\N{DIGIT ONE}", "AäA\x001", 0)
@example(r"(?P<frame>\d+)", "٣", re.DOTALL)
def test_a_pattern_means_what_python_says_that_it_means(
    pattern: str, text: str, chosen: int
) -> None:
    try:
        expected = re.compile(pattern, chosen)
    except re.error:
        with pytest.raises(PatternError):
            Pattern(pattern, chosen)
        return
    ours = Pattern(pattern, chosen)
    assume("$" not in pattern or not text.endswith("\n"))
    assert ours.match(text) is (expected.match(text) is not None)


def test_a_dollar_also_stands_before_a_newline_at_the_end() -> None:
    assert Pattern("a$").match("a\n")
    assert not Pattern("a$").match("a\n\n")
    assert not Pattern(r"a\Z").match("a\n")


@given(st.text(max_size=40))
def test_any_text_is_either_a_pattern_or_refused(pattern: str) -> None:
    with suppress(PatternError):
        Pattern(pattern).match("demo/out/frame_0001.png")


EVIL = [
    (r"([\w]+/?)+\.exr", "demo/render_results/" + "a" * 200),
    (r"(a+)+$", "a" * 4000 + "!"),
    (r"(a|a)*b", "a" * 4000),
    (r"(.*a){20}b", "a" * 4000),
    (r"(\w*)*\d", "é" * 2000),
    ("(a?){64}" * 20 + "b", "a" * 2000),
    (r".*.*.*.*.*.*=.*", "x" * 4000),
    (r"(?i)(ſ|s|S)*k", "s" * 3000),
]


@pytest.mark.parametrize(("pattern", "text"), EVIL)
def test_no_pattern_takes_longer_than_its_length_allows(pattern: str, text: str) -> None:
    began = time.monotonic()
    assert not Pattern(pattern).match(text)
    # Backtracking would take longer than there is a sun; this is for a machine that is busy.
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("pattern", "construct"),
    [
        (r"/out/(?=beauty).+", Construct.LOOK_AHEAD),
        (r"/out/(?!beauty).+", Construct.LOOK_AHEAD),
        (r"/out/(?!).+", Construct.LOOK_AHEAD),
        (r".+(?<=exr)", Construct.LOOK_BEHIND),
        (r".+(?<!exr)", Construct.LOOK_BEHIND),
        (r"(a)\1", Construct.BACK_REFERENCE),
        (r"(?P<x>a)(?P=x)", Construct.BACK_REFERENCE),
        (r"(a)?(?(1)b|c)", Construct.CONDITION),
        (r"(?>a+)b", Construct.ATOMIC_GROUP),
        (r"a++b", Construct.POSSESSIVE),
        (r"a{1,2}+b", Construct.POSSESSIVE),
        (r".+\bbeauty", Construct.WORD_BOUNDARY),
        (r".+\Bbeauty", Construct.WORD_BOUNDARY),
    ],
)
def test_what_cannot_be_linear_is_refused_by_name(pattern: str, construct: Construct) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    assert says(caught.value, "pattern-uses-which-not-supported", construct)


REFUSALS = (
    "pattern-too-long",
    "pattern-not-regular-expression",
    "pattern-too-large",
    "pattern-repeats-too-often",
)


@pytest.mark.parametrize(
    "pattern",
    [
        "a" * (MOST_PATTERN_CHARACTERS + 1),
        "(" * 3000 + ")" * 3000,
        "a{1001}",
        "a{99999999999}",
        "((a{500}){500}){500}",
        r"[\w]{1000}",
        r"\W" * 2000,
        "(?:[^a]{900}|b)" * 250,
        "[",
        "*",
        "(?L)a",
        "a(?i)",
    ],
)
def test_what_is_too_large_or_no_pattern_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    assert any(says(caught.value, message) for message in REFUSALS)


def test_word_boundaries_of_ascii_are_known() -> None:
    assert Pattern(r"(?a).*\bbeauty\b").match("out/beauty.exr")
    assert not Pattern(r"(?a).*\bbeauty\b").match("out/beautyful.exr")
