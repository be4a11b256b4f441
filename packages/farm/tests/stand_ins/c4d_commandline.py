"""Stand-in for Cinema 4D 2024's ``Commandline``.

``Commandline -nogui -render F.c4d -frame S [E [STEP]] -take NAME -oimage PATH -omultipass PATH
-oresolution W H`` [D], ``-oformat FMT -threads N`` [S]. ``-frame 100`` alone renders one frame [D].
Unknown arguments are refused [C]. ``-version`` prints the version [C].

Names: the frame number with four digits before the extension, ``name0001.png`` [D]; behind a name
that ends in a digit it follows an underscore [C]. A folder that does not exist is an error [C].

Without a licence it asks for the licence method and waits for an answer on its standard input; none
of the answers helps here, the end of the input ends it [S, the exit code C].

A document is text in place of the real binary: a first line ``QC4DC4D6``, then ``key = value``
lines, see `_Document`; ``#`` begins a comment. The exit code of all failures is 1 [C].
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from stand_ins._common import Orders, RefusedError, frame_range, read_orders, write_frame

VERSION = "Cinema 4D 2024.4.1"

_MAGIC = "QC4DC4D6"
_FORMATS = {"PNG": "png", "JPG": "jpg", "TIFF": "tif", "OPENEXR": "exr", "EXR": "exr"}
_KNOWN_ONLY = ("PSD", "BMP", "TARGA", "IFF", "HDR", "B3D", "DPX", "PICT", "RLA", "RPF")
"""Formats of Cinema 4D that this cannot write."""
_LICENCE = re.compile(r"-?g_license\w+=.*")
_USAGE = (
    "usage: Commandline -nogui -render document [-frame first [last [step]]] [-take name]"
    " [-oimage path] [-omultipass path] [-oresolution width height] [-oformat format] [-threads n]"
)


@dataclass
class _Arguments:
    document: str = ""
    frames: list[int] = field(default_factory=list)
    take: str | None = None
    image: str | None = None
    multipass: str | None = None
    size: tuple[int, int] | None = None
    format: str | None = None


@dataclass
class _Document:
    """What a document says.

    Attributes:
        resolution: ``resolution = 64 48``.
        frames: ``frames = 0 10 1``: first, last, step.
        image: ``image = out/beauty``: where frames go, without number and extension.
        multipass: ``multipass = out/pass``: likewise for passes.
        format: ``format = PNG``.
        renderer: ``renderer = standard`` or ``redshift``.
        takes: ``take = name``, once for each besides ``Main``.
        passes: ``pass = diffuse``, once for each.
        assets: ``asset = tex/wood.png``, once for each file that must be there, relative to the
            document.
    """

    resolution: str = "64 48"
    frames: str = "0 0 1"
    image: str = ""
    multipass: str = ""
    format: str = "TIFF"
    renderer: str = "standard"
    takes: list[str] = field(default_factory=lambda: ["Main"])
    passes: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    """Run ``Commandline`` and return its exit code.

    Parameters:
        arguments: without the program's name.
    """
    if arguments == ["-version"]:
        print(VERSION)
        return 0
    given = _parse(arguments)
    try:
        text = Path(given.document).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RefusedError(1, f"Error loading project: {given.document}") from None
    except OSError:
        raise RefusedError(1, f"Document not found: {given.document}") from None
    orders = read_orders(text, "#")
    if orders.licence:
        _ask_for_licence()
    document = _load(given.document, text)
    return _render(given, document, orders)


def _parse(arguments: list[str]) -> _Arguments:
    given = _Arguments()
    rest = [argument for argument in arguments if not _LICENCE.fullmatch(argument)]
    while rest:
        match rest:
            case ["-nogui", *rest]:
                pass
            case ["-render", document, *rest]:
                given.document = document
            case ["-frame", *rest]:
                numbers = _leading_numbers(rest)[:3]
                rest = rest[len(numbers) :]
                given.frames = _range(numbers)
            case ["-take", name, *rest]:
                given.take = name
            case ["-oimage", path, *rest]:
                given.image = path
            case ["-omultipass", path, *rest]:
                given.multipass = path
            case ["-oresolution", width, height, *rest] if _positive(width) and _positive(height):
                given.size = (int(width), int(height))
            case ["-oformat", name, *rest]:
                given.format = name
            case ["-threads", number, *rest] if _positive(number):
                pass
            case [argument, *_]:
                raise RefusedError(1, f"Bad argument: {argument}", _USAGE)
    if not given.document:
        raise RefusedError(1, "No document to render", _USAGE)
    return given


def _positive(text: str) -> bool:
    return re.fullmatch(r"[1-9]\d*", text) is not None


def _leading_numbers(words: list[str]) -> list[int]:
    numbers: list[int] = []
    for word in words:
        if not re.fullmatch(r"-?\d+", word):
            break
        numbers.append(int(word))
    return numbers


def _range(numbers: list[int]) -> list[int]:
    match numbers:
        case [first]:
            return [first]
        case [first, last] if last >= first:
            return frame_range(first, last, 1)
        case [first, last, step] if last >= first and step > 0:
            return frame_range(first, last, step)
    raise RefusedError(1, f"Bad argument: -frame {' '.join(map(str, numbers))}", _USAGE)


def _ask_for_licence() -> NoReturn:
    print("Error running authentication: No License Model defined [license_impl.cpp(146)]")
    print("----")
    while True:
        print("Enter the license method:")
        for choice in ("1) Maxon App", "2) Maxon Account", "3) Maxon License Server", "4) RLM"):
            print(f"  {choice}")
        print("  Q) Quit")
        print("Please select: ", end="", flush=True)
        answer = sys.stdin.readline() if sys.stdin else ""
        if answer.strip().upper() == "Q" or not answer:
            raise RefusedError(1, "", "No license found")


def _load(path: str, text: str) -> _Document:
    document = _Document()
    lines = text.splitlines()
    if lines[:1] != [_MAGIC]:
        raise RefusedError(1, f"Error loading project: {path}")
    lists = {"take": document.takes, "pass": document.passes, "asset": document.assets}
    for line in lines[1:]:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not (key in lists or isinstance(getattr(document, key, None), str)):
            raise RefusedError(1, f"Error loading document: {path}: {line}")
        if key in lists:
            lists[key].append(value)
        else:
            setattr(document, key, value)
    return document


def _render(given: _Arguments, document: _Document, orders: Orders) -> int:
    if given.take is not None and given.take not in document.takes:
        raise RefusedError(1, f"Error rendering project: there is no take {given.take}")
    for asset in document.assets:
        if not (Path(given.document).parent / asset).is_file():
            raise RefusedError(1, f"Asset missing: {asset}", "Rendering failed")
    extension = _extension(given.format or document.format)
    width, height = document.resolution.split()
    size = given.size or (int(width), int(height))
    frames = given.frames or _range(_leading_numbers(document.frames.split()))
    outputs = _outputs(given, document)
    if orders.error_exit_0:
        print("Rendering failed")
    for frame in frames:
        print(f"Rendering frame {frame}")
        print("Progress: 0%")
        orders.begin(frame)
        if orders.at("fail-at", frame):
            raise _failed(document)
        print("Progress: 50%")
        for output in outputs:
            path = Path(_numbered(output, frame, extension))
            try:
                write_frame(path, size, frame, orders, extension)
            except OSError as error:
                raise RefusedError(
                    1, f"Unable to write file: {path}: {error.strerror}", "Rendering failed"
                ) from None
        print("Progress: 100%")
    print(f"Rendering successful: {orders.seconds * len(frames):.0f} sec.")
    return 0


def _failed(document: _Document) -> RefusedError:
    if document.renderer == "redshift":
        return RefusedError(1, "Redshift Error: Frame rendering aborted", "Rendering failed")
    return RefusedError(1, "Error rendering document", "Rendering failed")


def _extension(wanted: str) -> str:
    if wanted in _KNOWN_ONLY:
        raise RefusedError(1, f"Unable to write file: {wanted}", "Rendering failed")
    if wanted not in _FORMATS:
        raise RefusedError(1, f"Bad argument: -oformat {wanted}", _USAGE)
    return _FORMATS[wanted]


def _outputs(given: _Arguments, document: _Document) -> list[str]:
    """Return the paths of image and passes, without number and extension."""
    folder = Path(given.document).parent
    image, multipass = given.image or document.image, given.multipass or document.multipass
    names = [image] if image else []
    names += [f"{multipass}_{name}" for name in document.passes if multipass]
    if not names or not all((folder / name).parent.is_dir() for name in names):
        raise RefusedError(1, "Files cannot be written - please check output paths!")
    # Relative to the document, also when the command line says so.
    return [str(folder / name) for name in names]


def _numbered(name: str, frame: int, extension: str) -> str:
    between = "_" if name[-1:].isdigit() else ""
    return f"{name}{between}{frame:04d}.{extension}"
