"""The version in a .blend's header: plain, compressed, damaged and hostile files."""

import gzip
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from farm.scenes.blend_header import BlendVersion, saved_by
from hypothesis import example, given, settings
from hypothesis import strategies as st

HEADERS = [
    (b"BLENDER_V204", (2, 4), "2.04"),
    (b"BLENDER-v279", (2, 79), "2.79"),
    (b"BLENDER-v304", (3, 4), "3.4"),
    (b"BLENDER-v405", (4, 5), "4.5"),
    (b"BLENDER17-01v0500", (5, 0), "5.0"),
    (b"BLENDER17-01v0512", (5, 12), "5.12"),
]
Pack = Callable[[bytes], bytes]
PACKERS: list[Pack] = [bytes, gzip.compress, zstandard.compress]


@pytest.fixture
def blend(tmp_path: Path) -> Path:
    return tmp_path / "shot.blend"


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize(("header", "version", "shown"), HEADERS)
def test_the_version_is_read_from_every_header_and_compression(
    blend: Path, header: bytes, version: tuple[int, int], shown: str, pack: Pack
) -> None:
    blend.write_bytes(pack(header + b"REND" + bytes(1000)))
    assert saved(blend) == version
    assert str(saved(blend)) == shown


def saved(path: Path) -> BlendVersion | None:
    with path.open("rb") as file:
        return saved_by(file)


def test_versions_have_an_order() -> None:
    assert BlendVersion(2, 93) < BlendVersion(3, 4) < BlendVersion(4, 5) < BlendVersion(5, 0)


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"BLENDER",
        b"BLENDER-v30",
        b"BLENDER-x304",
        b"BLENDER17-01v050",
        b"BLENDER-v3x4",
        b"not a scene at all, but longer than a header",
    ],
)
def test_other_files_have_no_version(blend: Path, content: bytes, pack: Pack) -> None:
    blend.write_bytes(pack(content))
    assert saved(blend) is None


def test_a_compressed_file_cut_within_its_first_block_has_no_version(blend: Path) -> None:
    for pack in PACKERS[1:]:
        blend.write_bytes(pack(b"BLENDER-v304")[:9])
        assert saved(blend) is None


def test_a_frame_whose_first_block_does_not_compress_is_read(blend: Path) -> None:
    noise = zstandard.compress(b"BLENDER-v304" + bytes(range(256)) * 4096, 1)
    # A skippable frame before it is allowed by the format.
    blend.write_bytes(b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + noise)
    assert saved(blend) == (3, 4)


def test_a_missing_file_is_an_error_and_not_a_scene_without_version(blend: Path) -> None:
    with pytest.raises(FileNotFoundError):
        saved(blend)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_bomb_is_not_expanded(blend: Path, pack: Pack) -> None:
    blend.write_bytes(pack(b"BLENDER-v304" + bytes(100 * 1024 * 1024)))
    tracemalloc.start()
    try:
        assert saved(blend) == (3, 4)
        assert tracemalloc.get_traced_memory()[1] < 2 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_frame_that_asks_for_too_much_memory_is_refused(blend: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    blend.write_bytes(compressor.compress(b"BLENDER-v304") + compressor.flush())
    assert saved(blend) is None


@settings(deadline=None)
@given(
    st.sampled_from(
        [b"", b"BLENDER", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"]
    ),
    st.binary(max_size=300),
)
@example(b"\x28\xb5\x2f\xfd", b"\xff" * 40)
def test_no_bytes_raise(start: bytes, rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.blend")
        path.write_bytes(start + rest)
        found = saved(path)
    assert found is None or found.major < 100


@settings(deadline=None)
@given(st.sampled_from(PACKERS), st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_raises_nothing(pack: Pack, position: int, value: int) -> None:
    data = bytearray(pack(b"BLENDER-v304" + bytes(range(256))))
    data[position % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.blend")
        path.write_bytes(data)
        saved(path)
