"""Data folders that no other user may look into."""

import os
import stat

import pytest
from farm_protocol.private import make_folder, narrow, open_private

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no modes")


@pytest.fixture(autouse=True)
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_private(tmp_path):
    make_folder(tmp_path / "above" / "data", ["ours"])
    assert mode(tmp_path / "above" / "data") == 0o700


def test_one_of_an_older_version_is_narrowed(tmp_path):
    folder = tmp_path / "data"
    (folder / "logs").mkdir(parents=True)
    (folder / "ours").touch()
    (folder / "blob").touch(0o444)
    outside = tmp_path / "outside"
    outside.touch()
    (folder / "link").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    make_folder(folder, ["ours"])
    found = {
        path.name: mode(path) for path in folder.iterdir() if path.name not in ("pipe", "link")
    }
    assert found == {"logs": 0o700, "ours": 0o600, "blob": 0o400}
    assert (mode(folder), mode(outside)) == (0o700, 0o666)


def test_a_folder_with_other_things_stays_as_it_is(tmp_path):
    """Its user may have named the home folder."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").touch()
    make_folder(tmp_path / "home", ["ours"])
    assert mode(tmp_path / "home") == 0o777
    assert mode(tmp_path / "home" / "letter") == 0o666


def test_a_link_in_the_place_of_a_folder_is_followed_as_its_user_chose_it(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    narrow(tmp_path / "link")
    assert mode(tmp_path / "real") == 0o700


def test_files_are_private_from_their_first_moment(tmp_path):
    with open(tmp_path / "file", "w", opener=open_private) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
