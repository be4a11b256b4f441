"""Folders that a scene has filled are removed, whatever it has made of them."""

import subprocess
import sys
from pathlib import Path

import pytest
from farm.confine import removal
from farm.confine.removal import remove_tree
from other_users import needs_others, run_as_other

DEEP = "import os\nfor _ in range(3000): os.mkdir('x'); os.chdir('x'); open('file', 'w').close()"


def test_folders_in_folders_beyond_any_path_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", DEEP], cwd=folder, check=True)
    assert remove_tree(folder)
    assert not folder.exists()


def test_what_links_lead_to_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o500)
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    for link in (tmp_path / "folder" / "link", tmp_path / "folder" / "inside" / "link"):
        link.symlink_to(kept)
    assert remove_tree(tmp_path / "folder")
    assert kept.stat().st_mode & 0o777 == 0o500


@pytest.mark.parametrize("kind", ["link", "file", "nothing"])
def test_what_stands_in_the_place_of_the_folder_is_removed(tmp_path: Path, kind: str) -> None:
    kept = tmp_path / "kept"
    (kept / "inside").mkdir(parents=True)
    place = tmp_path / "place"
    if kind == "link":
        place.symlink_to(kept)
    elif kind == "file":
        place.touch()
    assert remove_tree(place)
    assert (kept / "inside").exists()


SHUT = """
import tempfile
folder = Path(tempfile.mkdtemp())
shut = folder / "shut"
(shut / "empty").mkdir(parents=True)
(shut / "full").mkdir()
(shut / "full" / "file").touch()
for each in (shut / "empty", shut / "full", shut, folder):
    each.chmod(0)
print(remove_tree(folder), os.path.lexists(folder))
"""


@needs_others
def test_folders_that_their_owner_has_shut_are_removed() -> None:
    # As root nothing is shut; and another user may not read where our packages lie.
    source = Path(removal.__file__).read_text(encoding="utf-8")
    assert run_as_other(source + SHUT) == "True False\n"
