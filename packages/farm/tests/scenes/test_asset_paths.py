"""Where paths lead, and what counts as found."""

import pytest
from farm.scenes.asset_paths import Difference, Manifest, expected_path, how_they_differ
from hypothesis import given
from hypothesis import strategies as st

BLEND = "demo/scenes/a/shot.blend"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("//wood.png", "demo/scenes/a/wood.png"),
        ("//./x//wood.png", "demo/scenes/a/x/wood.png"),
        ("//../../wood.png", "demo/wood.png"),
        ("//..\\wood.png", "demo/scenes/wood.png"),
        ("//../../../other/wood.png", None),
        ("//x/../../../../wood.png", None),
        ("/etc/passwd", None),
        ("D:/wood.png", None),
        ("wood.png", None),
        ("", None),
    ],
)
def test_where_a_path_leads(path: str, expected: str | None) -> None:
    assert expected_path(path, BLEND) == expected


@given(st.text(alphabet="./\\ab"), st.sampled_from([BLEND, "demo/shot.blend"]))
def test_no_path_leaves_the_project(path: str, blend: str) -> None:
    found = expected_path(path, blend)
    assert found is None or (found + "/").startswith("demo/")
    assert found is None or not {"..", "."} & set(found.split("/"))


@pytest.mark.parametrize(
    ("path", "file", "found"),
    [
        ("p/water_0001.png", "p/water_0240.png", True),
        ("p/water_0001.png", "p/water_00240.png", True),
        ("p/water_0001.png", "p/water_.png", False),
        ("p/water_0001.png", "p/water_0001.exr", False),
        ("p/water_0001.png", "q/water_0001.png", False),
        ("p/v2_water.png", "p/v3_water.png", True),
        ("p/0001", "p/0002", True),
        ("p/water.png", "p/water2.png", False),
        ("p/rock.<UDIM>.png", "p/rock.1002.png", True),
        ("p/rock.<UDIM>.png", "p/rock.10021.png", False),
        ("p/rock.<UDIM>.png", "p/rock.<UDIM>.png", True),
        ("p/rock.<UVTILE>.png", "p/rock.u1_v2.png", True),
        ("p/rock.<UVTILE>.png", "p/rock.1001.png", False),
        ("p/smoke_*.bphys", "p/smoke_000010_00.bphys", True),
        ("p/smoke_*.bphys", "p/fire_000010_00.bphys", False),
        ("p/cache", "p/cache/data/a.vdb", True),
        ("p/cache", "p/cached/a.vdb", False),
        ("p", "p/a/b/c.vdb", True),
    ],
)
def test_one_file_of_a_sequence_is_enough(path: str, file: str, found: bool) -> None:
    manifest = Manifest([file])
    assert manifest.has(path, is_sequence=True) is found
    assert manifest.has(path, is_sequence=False) is (path == file)


@pytest.mark.parametrize(
    ("path", "file", "is_sequence", "difference"),
    [
        ("p/wood.png", "p/Wood.PNG", False, Difference.CASE),
        ("p/wood.png", "P/wood.png", False, Difference.CASE),
        ("p/h\u00f6lz.png", "p/ho\u0308lz.png", False, Difference.ENCODING),
        ("p/h\u00f6lz/1.png", "p/ho\u0308lz/1.png", False, Difference.ENCODING),
        ("p/h\u00f6lz.png", "p/HO\u0308LZ.png", False, Difference.BOTH),
        ("p/water_0001.png", "p/Water_0002.png", True, Difference.CASE),
        ("p/g\u00f6l_0001.png", "p/go\u0308l_0002.png", True, Difference.ENCODING),
        ("p/rock.<UDIM>.png", "p/Rock.1001.png", True, Difference.CASE),
        ("p/Cache", "p/cache/a.vdb", True, Difference.CASE),
        ("p/K\u00e4lte", "p/Ka\u0308lte/a.vdb", True, Difference.ENCODING),
    ],
)
def test_a_file_that_is_spelled_otherwise_is_not_there_but_found(
    path: str, file: str, is_sequence: bool, difference: Difference
) -> None:
    manifest = Manifest([file, "p/another.png"])
    assert not manifest.has(path, is_sequence)
    assert manifest.similar(path, is_sequence) == file
    assert how_they_differ(path, file) is difference
    assert Manifest(["p/another.png"]).similar(path, is_sequence) is None


@given(
    st.sets(st.text(alphabet="ab0/.*", min_size=1), max_size=6), st.text(alphabet="ab0/.*<UDIM>")
)
def test_a_manifest_answers_for_every_name(paths: set[str], path: str) -> None:
    manifest = Manifest(paths)
    assert all(manifest.has(each, is_sequence=False) for each in paths)
    manifest.has(path, is_sequence=True)
    assert manifest.similar(path, is_sequence=True) in paths | {None}
