"""Stand-in for V-Ray 6 Standalone.

``vray -sceneFile=FILE -imgFile=PATH.ext -frames=1-10,2;20 -display=0 ...`` [D]: names are case
sensitive; an unknown one is warned about and has no effect [D], a bad value of a known one is an
error [C]. ``-frames`` puts the frame number before the extension, with the scene's padding [D].
``-version`` [D] answers as [C].

Lines: ``Starting frame N``, ``Rendering image...: N%``, ``Successfully written image file "..."``,
``Frame took ...`` [S]. Unless ``-progressUseCR=0`` progress ends with a carriage return, unless
``-progressUseColor=0`` it is coloured [D]; ``-showProgress=0`` silences it, ``-verboseLevel`` below
3 the other lines [D].

Failures print ``error: ...`` [S] and end with 1 [C]. A texture that cannot be found is printed as
an error, and the render goes on [C]. Without a licence ``Could not obtain a license (-88)`` [S]; it
stalls then when the scene also has a ``hang-at`` [S]. ``-display`` other than 0 fails, as on a node
without X. ``-remapPathFile`` maps the paths of textures only [C].

``-parameterOverride`` has ``Type::parameter=value`` for all plugins of a type and
``name.parameter=value`` for one [D]; that none is there is an error, and a line tells the image
sampler [C].
"""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from stand_ins._common import (
    FORMATS,
    Orders,
    RefusedError,
    frame_range,
    hang,
    read_orders,
    unique,
    write_frame,
)
from stand_ins._vrscene import Plugin, VrsceneError, parse

VERSION = "V-Ray Standalone, version 6.20.01 for x64, V-Ray core version is 6.20.01"

_RANGE = re.compile(r"(-?\d+)(?:-(-?\d+)(?:,([1-9]\d*))?)?")
_NUMBER = r"\d+"
_SWITCH = r"[01]"
_OPTIONS = {
    "sceneFile": r".+",
    "imgFile": r".+",
    "camera": r".+",
    "imgWidth": r"[1-9]\d*",
    "imgHeight": r"[1-9]\d*",
    "frames": rf"{_RANGE.pattern}(;{_RANGE.pattern})*",
    "noFrameNumbers": _SWITCH,
    "skipExistingFrames": _SWITCH,
    "numThreads": _NUMBER,
    "rtEngine": r"[01357]",
    "rtTimeOut": r"\d+(\.\d+)?",
    "rtNoise": r"\d+(\.\d+)?",
    "rtSampleLevel": _NUMBER,
    "remapPathFile": r".+",
    "parameterOverride": r"(\w+::|[\w@|:/-]+\.)\w+=.*",
    "display": _SWITCH,
    "autoClose": _SWITCH,
    "showProgress": r"[012]",
    "progressIncrement": _NUMBER,
    "progressUseCR": _SWITCH,
    "progressUseColor": _SWITCH,
    "verboseLevel": r"[0-5]",
    "lowThreadPriority": _SWITCH,
}
"""Option -> what its value looks like [D]."""


@dataclass
class _Arguments:
    values: dict[str, str]
    overrides: list[str]

    def number(self, option: str, default: int) -> int:
        """Return an option's number."""
        return int(self.values.get(option, default))

    def say(self, line: str) -> None:
        """Print a line of information, unless told not to."""
        if self.number("verboseLevel", 3) >= 3:
            print(line)

    def progress(self, percent: float) -> None:
        """Print how far an image is, the way that was asked for."""
        if self.number("showProgress", 1) == 0:
            return
        text = f"Rendering image...: {percent:5.1f}%"
        if self.number("progressUseColor", 1):
            text = f"\x1b[1;32m{text}\x1b[0m"
        print(text, end="\r" if self.number("progressUseCR", 1) else "\n", flush=True)


def main(arguments: list[str]) -> int:
    """Run V-Ray and return its exit code.

    Parameters:
        arguments: without the program's name.
    """
    if arguments == ["-version"]:
        print(VERSION)
        return 0
    given = _parse(arguments)
    path = given.values["sceneFile"]
    try:
        text = Path(path).read_text(encoding="utf-8")
        plugins = parse(text)
    except OSError:
        raise _error(f'No file "{path}" exists') from None
    except (VrsceneError, UnicodeDecodeError) as error:
        raise _error(f'Could not parse scene file "{path}": {error}') from None
    orders = read_orders(text, "//")
    if given.number("display", 1):
        raise _error("Could not open the display")
    if orders.licence:
        refusal = _error("Could not obtain a license (-88).")
        if "hang-at" in orders.frames:
            print(*refusal.lines, sep="\n")
            hang()
        raise refusal
    _override(plugins, given.overrides)
    return _render(given, plugins, orders)


def _parse(arguments: list[str]) -> _Arguments:
    given = _Arguments({}, [])
    for argument in arguments:
        name, equals, value = argument.partition("=")
        option = name[1:]
        if not name.startswith("-") or option not in _OPTIONS:
            print(f'warning: Unknown command line option "{name}"')
        elif not equals or not re.fullmatch(_OPTIONS[option], value):
            raise _error(f'Bad value "{value}" of command line option "{name}"')
        elif option == "parameterOverride":
            given.overrides.append(value)
        else:
            given.values[option] = value
    if "sceneFile" not in given.values:
        raise _error("No scene file: use -sceneFile=FILE")
    return given


def _error(text: str) -> RefusedError:
    return RefusedError(1, f"error: {text}")


def _override(plugins: dict[str, Plugin], overrides: list[str]) -> None:
    for override in overrides:
        what, _, value = override.partition("=")
        if "::" in what:
            kind, _, parameter = what.partition("::")
            chosen = _of_kind(plugins, kind)
        else:
            name, _, parameter = what.rpartition(".")
            chosen = [plugins[name]] if name in plugins else []
        if not chosen:
            raise _error(f'-parameterOverride: there is no plugin for "{what}"')
        for plugin in chosen:
            plugin.parameters[parameter] = value.strip('"')


def _of_kind(plugins: dict[str, Plugin], kind: str) -> list[Plugin]:
    return [plugin for plugin in plugins.values() if plugin.kind == kind]


def _render(given: _Arguments, plugins: dict[str, Plugin], orders: Orders) -> int:
    views = [name for name, plugin in plugins.items() if plugin.kind == "RenderView"]
    camera = given.values.get("camera")
    if not views or (camera is not None and camera not in plugins):
        raise _error(f'Camera "{camera}" not found' if views else "No RenderView in the scene")
    outputs = _of_kind(plugins, "SettingsOutput")
    settings = outputs[0].parameters if outputs else {}
    size = (
        given.number("imgWidth", _integer(settings, "img_width", 640)),
        given.number("imgHeight", _integer(settings, "img_height", 480)),
    )
    target = given.values.get("imgFile") or _scene_target(settings)
    if target and Path(target).suffix[1:] not in FORMATS:
        raise _error(f'Could not create image file "{target}": unknown format')
    _load_textures(given, plugins)
    if orders.error_exit_0:
        print("error: Could not compile a shader")
    for sampler in _of_kind(plugins, "SettingsImageSampler"):
        given.say(f"Image sampler type: {_integer(sampler.parameters, 'type', 1)}")
    padding = _integer(settings, "anim_frame_padding", 4)
    for frame in _frames(given, settings):
        given.say(f"Starting frame {frame}")
        path = target
        if "frames" in given.values and not given.number("noFrameNumbers", 0):
            path = _numbered(target, frame, padding)
        _frame(given, path, size, frame, orders)
    return 0


def _integer(settings: dict[str, str], name: str, default: int) -> int:
    text = settings.get(name, str(default))
    if not re.fullmatch(r"-?\d+", text):
        raise _error(f'Parameter "{name}" is no integer: {text}')
    return int(text)


def _scene_target(settings: dict[str, str]) -> str:
    name = settings.get("img_file", "")
    # Joined as text: a folder may end without a slash.
    return str(Path(settings.get("img_dir", ""), name)) if name else ""


def _frames(given: _Arguments, settings: dict[str, str]) -> list[int]:
    if "frames" not in given.values:
        return [_integer(settings, "frame_start", 0)]
    frames: list[int] = []
    for part in given.values["frames"].split(";"):
        match = _RANGE.fullmatch(part)
        assert match is not None
        first = int(match[1])
        frames += frame_range(first, int(match[2] or first), int(match[3] or 1))
    if not frames:
        raise _error(f'No frames in "{given.values["frames"]}"')
    return unique(frames)


def _numbered(target: str, frame: int, padding: int) -> str:
    stem, dot, extension = target.rpartition(".")
    return f"{stem}.{frame:0{padding}d}{dot}{extension}"


def _load_textures(given: _Arguments, plugins: dict[str, Plugin]) -> None:
    rules = _remap_rules(given.values.get("remapPathFile"))
    for bitmap in _of_kind(plugins, "BitmapBuffer"):
        path = bitmap.parameters.get("file", "")
        for old, new in rules:
            if path.startswith(old):
                path = new + path[len(old) :]
                break
        if not Path(path).is_file():
            print(f'error: Could not load bitmap file "{path}"')


def _remap_rules(path: str | None) -> list[tuple[str, str]]:
    """Return (from, to) of a remap file; empty when there is none."""
    if path is None:
        return []
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise _error(f'Could not read path remap file "{path}": {error}') from None
    rules = [(item.findtext("From"), item.findtext("To")) for item in root.findall("RemapItem")]
    if root.tag != "RemapPaths" or any(old is None or new is None for old, new in rules):
        raise _error(f'Could not read path remap file "{path}": no RemapPaths/RemapItem/From,To')
    return [(str(old), str(new)) for old, new in rules]


def _frame(given: _Arguments, path: str, size: tuple[int, int], frame: int, orders: Orders) -> None:
    if path and given.number("skipExistingFrames", 0) and Path(path).exists():
        given.say(f'Skipping frame {frame}: "{path}" exists')
        return
    given.progress(0.0)
    orders.begin(frame)
    if orders.at("fail-at", frame):
        raise _error(f"Rendering of frame {frame} was aborted")
    given.progress(50.0)
    given.progress(100.0)
    if path:
        try:
            write_frame(Path(path), size, frame, orders, Path(path).suffix[1:])
        except OSError as error:
            raise _error(f'Could not create image file "{path}": {error.strerror}') from None
        given.say(f'Successfully written image file "{path}"')
    given.say(f"Frame took {orders.seconds:.2f} s.")
