"""Patterns of file names, as ``output_upload`` has them: what they fit, and how long that takes."""

import time
from fnmatch import fnmatchcase

from farm.products.hou.scripts.farm_parameters import is_wanted, matches
from hypothesis import example, given
from hypothesis import strategies as st

LETTERS = st.text("ab*?[]!-.", max_size=10)


@given(LETTERS, LETTERS)
@example("a]b", "a[]]b")
@example("a", "[!]]")
@example("[a", "[a")
def test_a_name_fits_as_the_standard_library_has_it(name: str, pattern: str) -> None:
    assert matches(name, pattern) == fnmatchcase(name, pattern)


def test_many_stars_take_no_time() -> None:
    begin = time.process_time()
    assert not matches("a" * 255, "*a" * 200 + "*b")
    assert not is_wanted("a" * 255, ["$F#<F>%d*" * 400 + "b"])
    assert not matches("[" * 255, "[" * 4_096)
    assert time.process_time() - begin < 5
