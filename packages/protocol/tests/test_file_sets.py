"""Names that stand for several files: looked up, and looked at one after the other."""

import pytest
from farm_protocol.file_sets import Names, is_one_of
from hypothesis import given, settings
from hypothesis import strategies as st

_PIECES = ["a", "b", "1", "20", "0001", "٣", "_", ".", "u1_v2", "*", "<UDIM>", "<uvtile>", "\n"]
names = st.lists(st.sampled_from(_PIECES), max_size=6).map("".join)


@settings(max_examples=500)
@given(st.sets(names, max_size=8), names)
def test_an_index_finds_what_each_name_by_itself_is(inside: set[str], pattern: str) -> None:
    found = sorted(Names(inside).of(pattern))
    assert found == sorted(name for name in inside if is_one_of(name, pattern))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a_0001.png", ["a_1.png", "a_22.png"]),
        ("*_1.png", ["a_1.png", "b_1.png"]),
        ("a_*.png", ["a_1.png", "a_22.png"]),
        ("*", ["a_1.png", "a_22.png", "b_1.png"]),
        ("a.png", []),
    ],
)
def test_names_of_a_pattern(pattern: str, found: list[str]) -> None:
    assert sorted(Names(["b_1.png", "a_22.png", "a_1.png"]).of(pattern)) == found
