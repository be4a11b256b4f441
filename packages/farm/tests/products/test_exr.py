"""OpenEXR files as bytes: a text in the header, and one part of several."""

from pathlib import Path

import OpenImageIO as oiio
import pytest
from farm.products.shared.farm_exr import add_text, read_layout, write_part

SIZE = (40, 24)


def image(seed: int, name: str = "", tile: int = 0) -> oiio.ImageBuf:
    spec = oiio.ImageSpec(*SIZE, 3, oiio.HALF)
    spec.attribute("compression", "zip")
    if name:
        spec.attribute("oiio:subimagename", name)
    if tile:
        spec.tile_width = spec.tile_height = tile
    made = oiio.ImageBuf(spec)
    assert oiio.ImageBufAlgo.noise(made, "uniform", 0, 9, seed=seed)
    return made


def write(path: Path, *parts: oiio.ImageBuf) -> Path:
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), tuple(each.spec() for each in parts)), output.geterror()
    for number, each in enumerate(parts):
        if number:
            assert output.open(str(path), each.spec(), "AppendSubimage"), output.geterror()
        assert each.write(output), each.geterror()
    output.close()
    return path


def same(path: Path, part: int, expected: oiio.ImageBuf) -> bool:
    """Return whether a part of a file has the pixels of an image."""
    found = oiio.ImageBuf(str(path), part, 0)
    compared = oiio.ImageBufAlgo.compare(found, expected, 0, 0)
    return not found.has_error and compared.maxerror == 0


KINDS = {
    "lines": lambda: [image(1)],
    "tiles": lambda: [image(1, tile=16)],
    "parts": lambda: [image(1, "a"), image(2, "b"), image(3, "c")],
    "tiled parts": lambda: [image(1, "a", tile=16), image(2, "b", tile=16)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_changes_no_pixel(tmp_path: Path, kind: str) -> None:
    parts = KINDS[kind]()
    path = write(tmp_path / "a.exr", *parts)
    add_text(str(path), "farmView", "a text of ours: é")
    assert [each.name for each in tmp_path.iterdir()] == ["a.exr"]
    for number, part in enumerate(parts):
        assert same(path, number, part)
    assert oiio.ImageBuf(str(path)).spec()["farmView"] == "a text of ours: é"
    with path.open("rb") as file:
        assert read_layout(file).text(0, b"farmView") == "a text of ours: é"


def test_a_text_that_is_there_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", image(1))
    add_text(str(path), "farmView", "one")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"."):
        add_text(str(path), "farmView", "another")
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["parts", "tiled parts"])
def test_a_part_becomes_a_file(tmp_path: Path, kind: str) -> None:
    parts = KINDS[kind]()
    path = write(tmp_path / "a.exr", *parts)
    for number, part in enumerate(parts):
        write_part(str(path), number, str(tmp_path / "b.exr"))
        alone = oiio.ImageInput.open(str(tmp_path / "b.exr"))
        assert not alone.seek_subimage(1, 0)
        alone.close()
        assert same(tmp_path / "b.exr", 0, part)


def test_any_beginning_of_a_file_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.exr", *KINDS["parts"]()).read_bytes()
    path = tmp_path / "b.exr"
    for length in (*range(0, 1200, 7), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r".") as caught:  # noqa: PT012 - either may refuse
            try:
                write_part(str(path), 2, str(tmp_path / "c.exr"))
            except Exception as error:
                raise ValueError(type(error).__name__) from None
        assert str(caught.value) in ("ValueError", "error")
