"""TIFFs whose directories stand in front of their pixels: whole, cut off and damaged."""

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm.runner.results.image_check import MOST_PARTS, examine
from farm.runner.results.outputs import OutputError
from farm.runner.results.tiff_pixels import ends_too_early, fails_a_checksum
from messages import saying

WIDTH, HEIGHT, TILE, ROWS = 64, 36, 16, 9
SHORT, LONG, LONG8 = 3, 4, 16
NONE, LZW, DEFLATE, OLD_DEFLATE = 1, 5, 8, 32946
CODES = {SHORT: "H", LONG: "I", LONG8: "Q"}


def lzw(data: bytes) -> bytes:
    """Compress without ever using the dictionary: TIFF's LZW, cleared before codes get longer."""
    codes = [each for start in range(0, len(data), 250) for each in (256, *data[start:][:250])]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def chunks(tiled: bool, compression: int, rows: int) -> list[bytes]:
    """Return the strips or tiles of one page."""
    if tiled:
        sizes = [TILE * TILE] * (-(-WIDTH // TILE) * -(-HEIGHT // TILE))
    else:
        sizes = [WIDTH * rows] * (HEIGHT // rows)
    plain = [bytes(place * each % 251 for place in range(size)) for each, size in enumerate(sizes)]
    if compression == NONE:
        return plain
    return [lzw(each) if compression == LZW else zlib.compress(each) for each in plain]


def tiff(
    order: str = "<",
    big: bool = False,
    tiled: bool = False,
    compression: int = NONE,
    pages: int = 1,
    rows: int = ROWS,
) -> tuple[bytes, int]:
    """Return a grey TIFF, all its directories in front, and where its pixels begin."""
    place, number, header, kind = ("Q", "Q", 16, LONG8) if big else ("I", "H", 8, LONG)
    width = struct.calcsize("=" + place)
    data = chunks(tiled, compression, rows)
    shape = [(322, [TILE]), (323, [TILE])] if tiled else [(278, [rows])]
    size = [(256, [WIDTH]), (257, [HEIGHT])]
    tags = [*size, (258, [8]), (259, [compression]), (262, [1]), (277, [1]), *shape]
    directory = struct.calcsize("=" + number) + (len(tags) + 2) * (4 + 2 * width) + width
    page = directory + (2 * len(data) * width if len(data) > 1 else 0)
    begin = header + pages * page
    magic = struct.pack(f"{order}HHH", 43, 8, 0) if big else struct.pack(f"{order}H", 42)
    out = (b"II" if order == "<" else b"MM") + magic + struct.pack(order + place, header)
    for index in range(pages):
        at = begin + index * sum(map(len, data))
        offsets = [at + sum(map(len, data[:each])) for each in range(len(data))]
        values = [(tag, SHORT, numbers) for tag, numbers in tags]
        values.append((324 if tiled else 273, kind, offsets))
        values.append((325 if tiled else 279, kind, [len(each) for each in data]))
        out += struct.pack(order + number, len(values))
        table, behind = header + index * page + directory, b""
        for tag, code, numbers in sorted(values):
            field = struct.pack(f"{order}{len(numbers)}{CODES[code]}", *numbers)
            if len(field) > width:
                field, behind = struct.pack(order + place, table + len(behind)), behind + field
            out += struct.pack(f"{order}HH{place}", tag, code, len(numbers))
            out += field.ljust(width, b"\0")
        following = header + (index + 1) * page if index + 1 < pages else 0
        out += struct.pack(order + place, following) + behind
    assert len(out) == begin
    return out + b"".join(data) * pages, begin


def check(folder: Path, content: bytes) -> None:
    path = folder / "frame_0001.tif"
    path.write_bytes(content)
    examine(path, path.name, (WIDTH, HEIGHT))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
@pytest.mark.parametrize("tiled", [False, True], ids=["strips", "tiles"])
@pytest.mark.parametrize("compression", [NONE, LZW], ids=["none", "lzw"])
@pytest.mark.parametrize("pages", [1, 3])
def test_a_tiff_whose_end_is_cut_off_is_refused(
    tmp_path: Path, order: str, big: bool, tiled: bool, compression: int, pages: int
) -> None:
    whole, begin = tiff(order, big, tiled, compression, pages)
    check(tmp_path, whole)
    check(tmp_path, whole + b"something behind")
    length = len(whole) - begin
    for part in (begin // 2, begin, begin + length // 3, begin + length * 9 // 10, len(whole) - 1):
        with pytest.raises(OutputError, check=saying("not-complete-image", "frame_0001.tif")):
            check(tmp_path, whole[:part])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
@pytest.mark.parametrize("tiled", [False, True], ids=["strips", "tiles"])
@pytest.mark.parametrize("compression", [DEFLATE, OLD_DEFLATE], ids=["deflate", "old deflate"])
@pytest.mark.parametrize("pages", [1, 3])
def test_one_wrong_byte_of_deflated_pixels_is_found(
    tmp_path: Path, order: str, big: bool, tiled: bool, compression: int, pages: int
) -> None:
    whole, begin = tiff(order, big, tiled, compression, pages)
    check(tmp_path, whole)
    length = len(whole) - begin
    for place in (begin, begin + length // 3, begin + length * 2 // 3, len(whole) - 1):
        damaged = bytearray(whole)
        # All bits: the last ones of a stream may only fill its last byte.
        damaged[place] ^= 0xFF
        with pytest.raises(OutputError, check=saying("not-complete-image", "frame_0001.tif")):
            check(tmp_path, bytes(damaged))


@pytest.mark.parametrize("tiled", [False, True], ids=["strips", "tiles"])
@pytest.mark.parametrize("pages", [1, 3])
def test_what_cannot_be_decoded_is_found_in_every_strip(
    tmp_path: Path, tiled: bool, pages: int
) -> None:
    whole, begin = tiff(tiled=tiled, compression=LZW, pages=pages)
    for place in range(begin + 20, len(whole), (len(whole) - begin) // 12):
        damaged = bytearray(whole)
        # Codes that no table has yet.
        damaged[place : place + 8] = b"\xff" * 8
        with pytest.raises(OutputError, check=saying("not-complete-image", "frame_0001.tif")):
            check(tmp_path, bytes(damaged[: len(whole)]))


def test_the_place_of_a_single_strip_stands_in_the_directory_itself(tmp_path: Path) -> None:
    whole, _ = tiff(rows=HEIGHT)
    check(tmp_path, whole)
    with pytest.raises(OutputError, check=saying("not-complete-image", "frame_0001.tif")):
        check(tmp_path, whole[:-1])


def test_a_file_of_very_many_parts_is_refused_before_any_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "frame_0001.tif"
    path.write_bytes(tiff(pages=MOST_PARTS)[0])
    # A minute and more on a machine of today, for a file of 8 MB.
    many = tmp_path / "frame_0002.tif"
    many.write_bytes(tiff(pages=3000)[0])

    def told(pixels: int) -> None:
        raise BeingDecodedError

    with pytest.raises(BeingDecodedError):
        examine(path, path.name, None, told)
    with pytest.raises(OutputError, check=saying("more-than-parts-which-too", many.name, 1024)):
        examine(many, many.name, None, told)


class BeingDecodedError(Exception):
    """Nothing may be decoded of this file, or it may."""


def hostile() -> Iterator[tuple[str, bytes]]:
    """Yield files that make a reader run for ever, or ask for more memory than there is."""
    whole, begin = tiff(big=True, pages=2)
    entries = struct.unpack_from("<Q", whole, 16)[0]
    following = 16 + 8 + entries * 20
    yield "circular", whole[:following] + struct.pack("<Q", 16) + whole[following + 8 :]
    yield (
        "directory far away",
        whole[:following] + struct.pack("<Q", 2**64 - 9) + whole[following + 8 :],
    )
    yield "first far away", whole[:8] + struct.pack("<Q", 2**63 + 5) + whole[16:]
    yield "many entries", whole[:16] + struct.pack("<Q", 2**62) + whole[24:]
    for tag in (273, 279):
        place = whole.index(struct.pack("<HHQ", tag, LONG8, HEIGHT // ROWS)) + 4
        yield f"many of {tag}", whole[:place] + struct.pack("<Q", 2**60) + whole[place + 8 :]
    table = begin - 2 * 8 * (HEIGHT // ROWS)
    yield "offset that overflows", whole[:table] + b"\xff" * 8 + whole[table + 8 :]


@pytest.mark.parametrize("content", [pytest.param(each, id=name) for name, each in hostile()])
def test_a_hostile_tiff_takes_neither_time_nor_memory(tmp_path: Path, content: bytes) -> None:
    # Past the decoder as well, which refuses some of them first.
    assert ends_too_early(io.BytesIO(content), len(content)) in (True, False)
    assert fails_a_checksum(io.BytesIO(content), len(content)) in (True, False)
    with contextlib.suppress(OutputError):
        check(tmp_path, content)
