"""What may be gathered for geometry nodes that import it: files with numbers, never a text."""

import struct
from pathlib import Path

import pytest
from envoy.gather.kinds import is_of_kind

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUA\n"
CONTACTS = b"name,mail\nAnn,ann@example.org\n"
TRIANGLE = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ply", b"ply\nformat ascii 1.0\nend_header\n"),
        ("a.stl", b"solid cube\n facet normal 0 0 1\n  outer loop\n"),
        ("b.stl", bytes(80) + struct.pack("<I", 300) + TRIANGLE * 300),
        ("a.obj", b"#made by hand\nmtllib a.mtl\no a\nv 0 0 0\nv 1 0.5 -1e-3\nf 1 2 3\n"),
        ("a.csv", b"frame;height\n1;0.5\n2;-3\n"),
        ("a.vdb", b" BDV" + bytes(60)),
    ],
)
def test_what_nodes_import_is_taken(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_of_kind(str(tmp_path / name), "imported file")


@pytest.mark.parametrize("content", [KEY, CONTACTS, b"", bytes(4000), b"solid ground\n" + KEY])
@pytest.mark.parametrize("name", ["a.ply", "a.stl", "a.obj", "a.csv", "a.vdb", "a.txt", "id_rsa"])
def test_no_secret_is_taken_for_it(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert not is_of_kind(str(tmp_path / name), "imported file")


def test_no_text_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"1\n2\n")
    assert not is_of_kind(str(tmp_path / "a.txt"), "imported file")
