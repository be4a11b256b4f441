"""Data folders that no other user may look into."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm_protocol.private import MOST_BYTES, Contents, make_folder, open_private, read_regular
from messages import saying

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no modes")


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


OURS = Contents(marks=("ours.lock",), files=("ours-*",), folders=("logs",))


def modes(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.iterdir() if path.is_file() or path.is_dir()}


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    make_folder(tmp_path / "above" / "data", OURS)
    assert mode(tmp_path / "above" / "data") == 0o700


def test_one_of_an_older_version_is_narrowed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "logs").mkdir(parents=True)
    (folder / "ours.lock").touch()
    (folder / "ours-1").touch(0o444)
    make_folder(folder, OURS)
    assert modes(folder) == {"logs": 0o700, "ours.lock": 0o600, "ours-1": 0o400}
    assert mode(folder) == 0o700


def test_what_a_link_under_our_name_leads_to_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "ours.lock").touch()
    outside = tmp_path / "outside"
    outside.touch()
    (folder / "ours-link").symlink_to(outside)
    make_folder(folder, OURS)
    assert (mode(folder), mode(outside)) == (0o700, 0o666)


def test_what_cannot_be_ours_under_our_name_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ours-pipe")
    with pytest.raises(OSError, check=saying("data-folder-holds-no-file", "ours-pipe")):
        make_folder(tmp_path, OURS)
    (tmp_path / "ours-pipe").unlink()
    (tmp_path / "ours.lock").touch()
    (tmp_path / "logs").touch()
    with pytest.raises(OSError, check=saying("not-folder", "logs")):
        make_folder(tmp_path, OURS)


@pytest.mark.parametrize("marked", [False, True])
def test_other_things_and_the_folder_that_holds_them_stay_as_they_are(
    tmp_path: Path, marked: bool
) -> None:
    """Its user may have named the home folder."""
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    (home / "letter").touch()
    (home / "ours-too").touch()
    if marked:
        (home / "ours.lock").touch()
        (home / "logs").mkdir()
    make_folder(home, OURS)
    assert mode(home) == 0o777
    found = modes(home)
    assert (found.pop("work"), found.pop("letter")) == (0o777, 0o666)
    ours = {"ours-too": 0o600, "ours.lock": 0o600, "logs": 0o700}
    assert found == (ours if marked else {"ours-too": 0o666})


def test_a_folder_of_others_that_has_our_name_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "home" / "logs").mkdir(parents=True)
    (tmp_path / "home" / "logs" / "letter").touch()
    with pytest.raises(OSError, check=saying("socket-folder-not-ours", "logs")):
        make_folder(tmp_path / "home", OURS)
    assert mode(tmp_path / "home" / "logs") == mode(tmp_path / "home") == 0o777


def test_a_link_in_the_place_of_a_folder_is_followed_as_its_user_chose_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make_folder(tmp_path / "link", OURS)
    assert mode(tmp_path / "real") == 0o700


def test_files_are_private_from_their_first_moment(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w", opener=open_private) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600


def test_of_a_file_without_an_end_no_more_is_read_than_a_small_one_has(tmp_path: Path) -> None:
    """A sparse one costs its maker nothing."""
    file = tmp_path / "farm.json"
    file.write_bytes(b"{}")
    assert read_regular(file) == b"{}"
    os.truncate(file, MOST_BYTES)
    assert len(read_regular(file)) == MOST_BYTES
    os.truncate(file, 1 << 40)
    with pytest.raises(OSError, check=lambda error: error.errno == errno.EFBIG):
        read_regular(file)
