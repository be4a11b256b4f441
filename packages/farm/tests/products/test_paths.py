"""The rules by which paths of the artist's machine are mapped."""

import ntpath
import posixpath

import pytest
from farm.products.shared.farm_paths import PathMap
from hypothesis import given
from hypothesis import strategies as st

names = st.text(
    st.characters(exclude_characters='/\\:*?"<>|', exclude_categories=["Cc", "Cs"]), min_size=1
).filter(lambda name: name not in (".", ".."))
folders = st.lists(names, min_size=1, max_size=4)
below = st.lists(names, min_size=1, max_size=3)


@given(folders, below, names)
def test_what_lies_below_a_source_lies_below_its_place(
    folder: list[str], inner: list[str], blend: str
) -> None:
    source = "/" + "/".join(folder)
    places = PathMap([(source, "film/there"), (f"{source}/{blend}", "film/x.blend")])
    wanted = "/".join(["film/there", *inner])
    named = "/".join([source, *inner])
    assert wanted in places.meant(named, "")
    # However it gets there.
    assert places.meant(f"{source}/{blend}/../{'/'.join(inner)}", "") == places.meant(named, "")
    assert wanted in places.meant("//" + "\\".join(inner), "film/x.blend")
    up = posixpath.relpath(named, source)
    assert wanted in places.meant(f"//{up}", "film/x.blend")


@given(folders, below, st.booleans())
def test_windows_paths_are_one_whatever_their_case_and_slashes(
    folder: list[str], inner: list[str], network: bool
) -> None:
    source = ntpath.join("\\\\" if network else "c:\\", *folder)
    swapped = "".join(each.swapcase() if each.isascii() else each for each in source)
    places = PathMap([(swapped, "film/there")])
    for slashes in (source, "\\\\" + source[2:].replace("\\", "/") if network else source):
        named = ntpath.join(slashes, *inner)
        assert places.meant(named, "") == ["/".join(["film/there", *inner])]


@given(folders)
def test_no_path_leads_out_of_its_place(path: list[str]) -> None:
    places = PathMap([("/a", "film/there")])
    for named in ("/a/" + "/../".join(path), "/a/../" + "/".join(path), "/a/" + "../" * 9 + "b"):
        for place in places.meant(named, ""):
            assert place == "film/there" or place.startswith("film/there/")
            assert ".." not in place.split("/")


def test_the_longest_source_comes_first() -> None:
    places = PathMap([("/lib", "p/one"), ("/lib/tex", "p/two"), ("/", "p/all")])
    assert places.meant("/lib/tex/a.png", "") == [
        "p/two/a.png",
        "p/one/tex/a.png",
        "p/all/lib/tex/a.png",
    ]
    assert places.meant("/library/a.png", "") == ["p/all/library/a.png"]


@pytest.mark.parametrize("path", ["textures/wood.png", "", "//wood.png", "C:wood.png"])
def test_what_is_not_absolute_means_nothing_by_itself(path: str) -> None:
    assert PathMap([("/", "p"), ("C:\\", "p")]).meant(path, "") == []


def test_a_library_is_found_from_where_its_artist_had_it() -> None:
    places = PathMap(
        [("/home/ann/libs", "film/_gathered/1"), ("/home/ann/tex", "film/_gathered/2")]
    )
    assert places.origin("film/_gathered/1/sub/lib.blend") == "/home/ann/libs/sub/lib.blend"
    assert places.origin("film/else.blend") == ""
    found = places.meant("//../../tex/a.png", "film/_gathered/1/sub/lib.blend")
    assert found == ["film/_gathered/2/a.png"]
