"""Files below a folder: no link leads out of it, and nothing that is no file is waited for."""

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import farm_protocol.inside
import pytest
from farm_protocol.inside import FolderExchangedError, NotRegularError, open_below, reach
from farm_protocol.paths import UnsafePathError
from messages import saying, says

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links need rights")


@pytest.fixture(params=[True, False], ids=["descriptors", "paths"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one file, ``sub/file``; beside it ``outside/secret``."""
    monkeypatch.setattr(farm_protocol.inside, "HAS_DESCRIPTORS", request.param)
    made = tmp_path / "folder"
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "file").write_bytes(b"bytes")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    return made


def content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def test_a_file_is_made_read_renamed_and_removed(folder: Path) -> None:
    with reach(folder, "new/deep/file", make=True) as place:
        assert place.status() is None
        os.close(place.create(".part"))
        place.take(".part")
        assert content(place.read()) == b""
        place.flush()
        assert place.is_current()
        place.move_to(folder / "moved")
        place.remove("not there")
    assert (folder / "moved").read_bytes() == b""
    assert list((folder / "new" / "deep").iterdir()) == []


def is_about_a_link(error: UnsafePathError) -> bool:
    """Whether it is one, with descriptors and without."""
    found = ("leads-through-symbolic-link", "leads-out-through-symbolic-link")
    return any(says(error, each) for each in found)


def test_a_link_on_the_way_is_refused(folder: Path) -> None:
    (folder / "link").symlink_to("../outside")
    for make in (True, False):
        with pytest.raises(UnsafePathError, check=is_about_a_link):
            reach(folder, "link/secret", make=make)


@pytest.mark.parametrize("make", [True, False])
def test_a_link_on_the_way_to_the_folder_is_refused(folder: Path, make: bool) -> None:
    for link, root in (("link", "link"), ("above", "above/folder"), ("above", "above/new")):
        (folder.parent / link).unlink(missing_ok=True)
        (folder.parent / link).symlink_to("folder" if link == "link" else ".")
        with pytest.raises(FolderExchangedError) as caught:
            reach(folder.parent / root, "sub/file", make=make)
        assert link in caught.value.filename
    assert not (folder.parent / "new").exists()


def test_a_file_in_the_place_of_the_folder_is_an_error(folder: Path) -> None:
    with pytest.raises(OSError, match="sub/file"):
        reach(folder / "sub" / "file", "name", make=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
def test_a_folder_on_the_way_need_not_be_one_that_may_be_listed(folder: Path) -> None:
    folder.chmod(0o100)
    try:
        with reach(folder, "sub/file") as place:
            assert content(place.read()) == b"bytes"
            assert place.is_current()
    finally:
        folder.chmod(0o700)


def test_a_file_on_the_way_is_no_link(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm_protocol.inside, "HAS_DESCRIPTORS", True)
    with pytest.raises(UnsafePathError, check=saying("needs-folder-where-file", "file")):
        reach(folder, "sub/file/x")


def test_no_folder_is_made_unasked(folder: Path) -> None:
    with suppress(FileNotFoundError), reach(folder, "new/file") as place:
        assert place.status() is None
    assert not (folder / "new").exists()
    for _ in range(2):  # Nor does it matter that it is there already.
        reach(folder, "new/file", make=True).close()


@pytest.mark.parametrize("path", ["../outside/secret", "/../outside/secret", "sub/../../x", ""])
def test_a_path_that_is_none_is_refused(folder: Path, path: str) -> None:
    with pytest.raises(UnsafePathError):
        reach(folder, path)


def test_a_link_in_the_place_of_the_file_is_replaced_and_never_read(folder: Path) -> None:
    (folder / "link").symlink_to("../outside/secret")
    with reach(folder, "link") as place:
        with pytest.raises(NotRegularError):
            place.read()
        with pytest.raises(FileExistsError):
            place.create("link")
        os.close(place.create(".part"))
        place.take(".part")
    assert (folder / "link").read_bytes() == b""
    assert not (folder / "link").is_symlink()
    assert (folder.parent / "outside" / "secret").read_bytes() == b"secret"


def test_a_folder_in_the_place_of_the_file_stays(folder: Path) -> None:
    with reach(folder, "sub") as place:
        os.close(place.create(".part"))
        with pytest.raises(UnsafePathError, check=saying("folder-in-place-of-file")):
            place.take(".part")


def test_a_folder_that_was_moved_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm_protocol.inside, "HAS_DESCRIPTORS", True)
    with reach(folder, "sub/file") as place:
        (folder / "sub").rename(folder / "other")
        assert not place.is_current()
        (folder / "sub").mkdir()
        assert not place.is_current()
        (folder / "sub").rmdir()
        (folder / "sub").symlink_to("other")
        with pytest.raises(UnsafePathError, check=is_about_a_link):
            place.is_current()
        assert content(place.read()) == b"bytes"


def test_a_place_stays_in_the_folder_that_was_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farm_protocol.inside, "HAS_DESCRIPTORS", True)
    outside = folder.parent / "outside"
    with reach(folder, "sub/file") as place:
        (folder / "sub").rename(folder / "other")
        (folder / "sub").symlink_to(outside)
        os.close(place.create("secret"))
        place.remove("secret")
        os.close(place.create(".part"))
        place.take(".part")
        assert content(place.read()) == b""
        place.move_to(folder / "moved")
        assert place.status() is None
    assert list((folder / "other").iterdir()) == []
    assert [path.read_bytes() for path in outside.iterdir()] == [b"secret"]


def test_the_status_is_that_of_a_link_itself(folder: Path) -> None:
    (folder / "link").symlink_to("sub/file")
    with reach(folder, "link") as place:
        status = place.status()
    assert status is not None
    assert stat.S_ISLNK(status.st_mode)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors")
def test_no_folder_is_left_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm_protocol.inside, "HAS_DESCRIPTORS", True)
    (folder / "link").symlink_to("../outside")
    os.mkfifo(folder / "sub" / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    with reach(folder, "sub/deep/file", make=True) as place:
        place.is_current()
    made = reach(folder, "sub/file")
    for _ in range(2):
        made.close()
    for path in ("link/x", "sub/file/x", "missing/x"):
        with pytest.raises((UnsafePathError, OSError)):
            reach(folder, path)
    for root in (folder / "link", folder / "missing", folder / "sub" / "file"):
        with pytest.raises(OSError):  # noqa: PT011 - each another one
            reach(root, "x/y")
    os.close(open_below(folder, folder / "sub" / "file"))
    for name in ("fifo", "missing"):
        with pytest.raises(OSError):  # noqa: PT011
            open_below(folder, folder / "sub" / name)
    assert len(os.listdir("/proc/self/fd")) == before


def after(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[[], object]
) -> None:
    """Let something happen right after the next call of a function."""
    real = getattr(owner, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(owner, name, real)
        try:
            return real(*args, **kwargs)
        finally:
            act()

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize("kind", ["link", "fifo", "socket", "nothing"])
def test_what_takes_the_place_of_a_file_at_the_last_moment_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(farm_protocol.inside, "HAS_DESCRIPTORS", True)
    file = folder / "sub" / "file"

    def exchange() -> None:
        file.unlink()
        if kind == "link":
            file.symlink_to(folder.parent / "outside" / "secret")
        elif kind == "fifo":
            os.mkfifo(file)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(os.path.relpath(file))

    expected = FileNotFoundError if kind == "nothing" else NotRegularError
    before = os.listdir("/proc/self/fd") if Path("/proc/self/fd").is_dir() else []
    with reach(folder, "sub/file") as place:
        after(monkeypatch, os, "stat", exchange)
        with pytest.raises(expected) as caught:
            place.read()
    assert str(file) in str(caught.value)
    assert len(before) == len(os.listdir("/proc/self/fd") if before else [])


def test_a_link_that_comes_while_a_folder_is_made_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farm_protocol.inside, "HAS_DESCRIPTORS", True)
    outside = folder.parent / "outside"

    def exchange() -> None:
        (folder / "new").rmdir()
        (folder / "new").symlink_to(outside)

    after(monkeypatch, os, "mkdir", exchange)
    with pytest.raises(UnsafePathError, check=saying("leads-through-symbolic-link", "new")):
        reach(folder, "new/deep/file", make=True)
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_link_that_comes_after_a_look_at_the_whole_path_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farm_protocol.inside, "HAS_DESCRIPTORS", True)
    (folder.parent / "outside" / "file").write_bytes(b"secret")

    def exchange() -> None:
        (folder / "sub").rename(folder / "other")
        (folder / "sub").symlink_to(folder.parent / "outside")

    after(monkeypatch, farm_protocol.inside, "real_path", exchange)
    with pytest.raises(UnsafePathError, check=saying("leads-through-link", folder / "sub")):
        open_below(folder, folder / "sub" / "file")


def test_what_is_no_file_is_not_even_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "sub" / "fifo")
    opened: list[str] = []
    real = os.open

    def noted(path: Any, *args: Any, **kwargs: Any) -> int:
        opened.append(os.path.basename(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", noted)
    os.close(open_below(folder, folder / "sub" / "file"))
    with pytest.raises(NotRegularError):
        open_below(folder, folder / "sub" / "fifo")
    assert "file" in opened
    assert "fifo" not in opened


def test_a_file_may_be_all_that_is_opened(folder: Path) -> None:
    file = folder / "sub" / "file"
    assert content(open_below(file, file)) == b"bytes"
    (folder / "sub" / "other").write_bytes(b"other")
    file.unlink()
    file.symlink_to("other")
    with pytest.raises(UnsafePathError, check=saying("leads-which-outside")):
        open_below(file, file)
    with pytest.raises(NotRegularError):
        open_below(folder, folder)


def test_links_inside_are_followed_to_read_and_those_outside_not(folder: Path) -> None:
    (folder / "folder link").symlink_to("sub")
    (folder / "file link").symlink_to("folder link/file")
    (folder / "out").symlink_to("../outside")
    (folder / "all").symlink_to(".")
    assert content(open_below(folder, folder / "sub" / "file")) == b"bytes"
    assert content(open_below(folder, folder / "file link")) == b"bytes"
    assert content(open_below(folder, folder / "all" / "all" / "folder link" / "file")) == b"bytes"
    with pytest.raises(
        UnsafePathError, check=saying("leads-which-outside", folder.parent / "outside" / "secret")
    ):
        open_below(folder, folder / "out" / "secret")
    with pytest.raises(UnsafePathError, check=saying("leads-which-outside")):
        open_below(folder, folder / ".." / "outside" / "secret")
    with pytest.raises(UnsafePathError, check=saying("leads-which-outside")):
        open_below(folder, folder / "all")


def test_what_is_no_file_is_refused_at_once(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "to fifo").symlink_to("fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        for name in ("fifo", "to fifo", "socket", "sub"):
            with pytest.raises(NotRegularError) as caught:
                open_below(folder, folder / name)
            assert str(folder / name) in str(caught.value)
    with pytest.raises(FileNotFoundError):
        open_below(folder, folder / "missing")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="makes a device")
def test_a_device_is_refused(folder: Path) -> None:
    try:
        os.mknod(folder / "zero", 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("may not make devices")
    with pytest.raises(NotRegularError):
        open_below(folder, folder / "zero")
