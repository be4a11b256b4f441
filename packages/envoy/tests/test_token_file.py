"""Which files hold a token that only Envoy's user can know."""

import os
import stat
import sys
from pathlib import Path

import pytest
from envoy.errors import TokenFileError
from envoy.process import token_file
from messages import saying

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")

TOKEN = "t" * 43


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_token_is_made_once_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert token_file.read(path) == ""
    made = token_file.kept(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(made.value) == 43
    assert made.path == path
    assert made.value not in repr(made)
    assert token_file.kept(path) == made
    assert token_file.read(path) == made.value
    assert token_file.kept(tmp_path / "another").value != made.value


@pytest.mark.parametrize(
    "content", [b"t" * 20, b"t" * 200, b"!~" * 20, b"\n " + b"t" * 43 + b"\r\n"]
)
def test_what_is_a_token(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path / "token", content)
    assert token_file.read(path) == token_file.kept(path).value == content.decode().strip()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"t" * 19,
        b"t" * 201,
        b"t" * 30 + b" " + b"t" * 30,
        b"t" * 30 + b"\n" + b"t" * 30,
        "ü".encode() * 30,
        b"t" * 30 + b"\x7f",
        b"t" * 30 + b"\0",
    ],
)
def test_what_is_none(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path / "token", content)
    for use in (token_file.read, token_file.kept):
        with pytest.raises(TokenFileError, check=saying("holds-no-token")):
            use(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("bit", [0o040, 0o020, 0o010, 0o004, 0o002, 0o001])
def test_nothing_is_for_others(tmp_path: Path, bit: int) -> None:
    path = written(tmp_path / "token", TOKEN.encode(), 0o600 | bit)
    with pytest.raises(TokenFileError, match=f"{0o600 | bit:04o}"):
        token_file.read(path)
    assert token_file.read(written(path, TOKEN.encode(), 0o400)) == TOKEN


def test_what_is_no_file_of_the_user(tmp_path: Path) -> None:
    real = written(tmp_path / "real", TOKEN.encode())
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "fifo", 0o600)
    fifo = os.open(tmp_path / "fifo", os.O_RDWR)
    os.write(fifo, TOKEN.encode() * 2)  # As good as a token's, if it were read.
    for name in ("link", "folder", "fifo"):
        with pytest.raises(TokenFileError, match=name):
            token_file.read(tmp_path / name)
        with pytest.raises(TokenFileError, match=name):
            token_file.kept(tmp_path / name)
    os.close(fifo)
    if os.geteuid() == 0:
        os.chown(real, 12345, 12345)
        with pytest.raises(TokenFileError, check=saying("belongs-another-user")):
            token_file.read(real)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors")
def test_the_file_is_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    token_file.read(written(tmp_path / "token", TOKEN.encode()))
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_none_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, check=saying("token-file-cannot-written")):
        token_file.kept(tmp_path / "missing" / "token")
