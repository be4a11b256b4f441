import os
from pathlib import Path

import pytest
from farm_protocol.paths import (
    MAX_PATH_BYTES,
    MAX_SEGMENT_BYTES,
    UnsafePathError,
    canonical,
    check_segment,
    local_target,
    project_of,
)
from hypothesis import given
from hypothesis import strategies as st
from messages import saying

UNSAFE = [
    *[
        "",
        "/",
        "//a",
        "a//b",
        "a/",
        "..",
        "a/../b",
        "./a",
        "a/.",
        "C:/a",
        "c:a",
        "a\\b",
        "\\\\host\\a",
    ],
    *[
        "a\x00b",
        "a\nb",
        "a\x7fb",
        "a/b ",
        "a./b",
        "con",
        "CON.txt",
        "a/lpt1.png",
        "nul .txt",
        "COM¹",
    ],
    *['a"b', "a|b", "a?b", "a*b", "a<b", "x" * 256, "é" * 128, "a/" * 3000 + "a", "\ud800"],
]


@pytest.mark.parametrize("path", UNSAFE)
def test_unsafe_paths_are_refused_with_a_message(path: str) -> None:
    with pytest.raises(UnsafePathError) as caught:
        canonical(path)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "my project/scène 1.blend",
        "日本語/ファイル.png",
        ".hidden",
        "a/b..c",
        "console/auxiliary",
    ],
)
def test_real_names_are_kept(path: str) -> None:
    assert canonical(path) == canonical(f"/{path}") == path
    assert project_of(path) == path.split("/")[0]


@given(st.text(max_size=60))
def test_what_is_accepted_stays_inside_the_folder(text: str) -> None:
    folder = Path("/tmp/some/folder")
    try:
        target = local_target(folder, text)
    except UnsafePathError:
        return
    assert Path(os.path.normpath(target)).is_relative_to(folder)
    assert target != folder
    assert canonical(canonical(text)) == canonical(text)


@given(st.text(min_size=1, max_size=20))
def test_a_segment_is_one_name(text: str) -> None:
    try:
        segment = check_segment(text)
    except UnsafePathError:
        return
    assert Path(segment).name == segment
    assert "/" not in segment


def test_a_symbolic_link_does_not_lead_out(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "inner").symlink_to(folder)
    with pytest.raises(UnsafePathError, check=saying("leads-out-through-symbolic-link", folder)):
        local_target(folder, "link/frame.png")
    assert local_target(folder, "inner/frame.png")
    assert local_target(folder, "new/deep/frame.png") == folder / "new/deep/frame.png"


def test_how_long_paths_and_names_may_be() -> None:
    assert canonical("x" * MAX_SEGMENT_BYTES)
    assert canonical("é" * (MAX_SEGMENT_BYTES // 2))
    longest = "/".join(["x" * MAX_SEGMENT_BYTES] * 7 + ["y" * 206, "z"])
    assert len(longest) == MAX_PATH_BYTES == 2000
    # A leading slash is none of it.
    assert canonical(longest) == canonical(f"/{longest}") == longest
    for path in (longest + "z", longest[:-1] + "é", "x" * 256, "é" * 127 + "xx"):
        with pytest.raises(UnsafePathError, check=saying("longer-than-bytes")):
            canonical(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ('a/b"c', "contains-character"),
        ("a/b\x9bc", "contains-control-character"),
        ("a/b\nc", "contains-control-character"),
        ("a/b.", "ends-with-dot-space"),
        ("a/ ", "ends-with-dot-space"),
        ("a/..", "not-valid-file-folder-name"),
        ("a//b", "not-valid-file-folder-name"),
        ("a/NUL.tar.gz", "reserved-name-windows"),
        ("a/conIN$", "reserved-name-windows"),
        ("a/com\u00b3", "reserved-name-windows"),
        ("a/\ud800", "not-valid-unicode-text"),
    ],
)
def test_the_message_says_what_is_wrong(path: str, message: str) -> None:
    with pytest.raises(UnsafePathError, check=saying(message)):
        canonical(path)
