"""Stand-in for Maya 2025's ``Render`` command, and for ``maya -v``.

``Render [options] scene`` [D]: the scene is the last argument; ``-r`` chooses the renderer,
``file`` or none at all the scene's own [D]. ``-s``, ``-e`` and ``-b`` make it an animation; what is
not given comes from the scene [D]. ``-fnc`` takes a name or its number in the Render Settings [D].

Exit codes: 1 and the usage for mistakes in the command line [C], else that of Maya, which is 210
when a scene fails and is told by ``// Maya exited with status 210`` [S]. A crash says
``Fatal Error`` first [S]. A project that is no folder or an unknown layer fails the scene [C].

Folders: several renderable cameras or layers get a folder each, unless ``-im`` names them [S];
folders are made [S]. Without ``-rd`` images go to ``images`` of the project [D].

``maya -v`` tells the version [D]; ``Render`` has no such flag [S] and refuses it. Only Maya ASCII
and whole frame numbers are read [C].
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from stand_ins._common import Orders, RefusedError, frame_range, read_orders, write_frame
from stand_ins._maya_renderers import COMMON, OF_SCENE, RENDERERS, RendererTalk
from stand_ins._maya_scene import MayaScene, SceneError, parse

VERSION = "Maya 2025.2, Cut Number 202407121012"

_USAGE = (
    "Usage: Render [options] filename",
    '       where "filename" is a Maya ASCII or a Maya binary file.',
)
_BOOLEAN = {word: True for word in ("on", "yes", "true", "1")} | {
    word: False for word in ("off", "no", "false", "0")
}
_CONVENTIONS = (
    "name",
    "name.ext",
    "name.#.ext",
    "name.ext.#",
    "name.#",
    "name#.ext",
    "name_#.ext",
)
"""Values of ``-fnc``; their numbers begin with 1."""


@dataclass
class _Job:
    """A scene with what the command line made of it.

    Attributes:
        path: the scene, as given.
        given: flag -> value.
    """

    path: str
    scene: MayaScene
    renderer: RendererTalk
    given: dict[str, str]

    def number(self, flag: str, attribute: str, default: int) -> int:
        """Return a flag's value, else the scene's."""
        if flag in self.given:
            return int(float(self.given[flag]))
        return self.scene.number(attribute, default)

    def animated(self) -> bool:
        """Return whether there are several frames, with their numbers in the names."""
        return bool({"-s", "-e", "-b"} & self.given.keys()) or self.scene.flag(
            "defaultRenderGlobals.an", default=False
        )

    def frames(self) -> list[int]:
        """Return the frames to render."""
        first = self.number("-s", "defaultRenderGlobals.fs", 1)
        if not self.animated():
            return [first]
        last = self.number("-e", "defaultRenderGlobals.ef", 10)
        return frame_range(first, last, max(1, self.number("-b", "defaultRenderGlobals.bfs", 1)))

    def size(self) -> tuple[int, int]:
        """Return (width, height)."""
        percent = float(self.given.get("-percentRes", "100")) / 100
        width = self.number("-x", "defaultResolution.w", 960)
        height = self.number("-y", "defaultResolution.h", 540)
        return max(1, int(width * percent)), max(1, int(height * percent))


def version(arguments: list[str]) -> int:
    """Run ``maya``, which has only ``-v`` here."""
    if arguments != ["-v"]:
        raise RefusedError(1, "maya: could not connect to display")
    print(VERSION)
    return 0


def main(arguments: list[str]) -> int:
    """Run ``Render`` and return its exit code.

    Parameters:
        arguments: without the program's name.
    """
    if arguments in (["-help"], ["-h"]):
        print(*_USAGE, sep="\n")
        return 0
    renderer, given, path = _parse(arguments)
    try:
        text = Path(path).read_text(encoding="utf-8")
        scene = parse(text)
    except OSError:
        raise _failed(path, f"Error: file: {path}: File not found: {path}") from None
    except (SceneError, UnicodeDecodeError) as error:
        raise _failed(path, f"Error: file: {path} {error}") from None
    if renderer == "file":
        saved = scene.text("defaultRenderGlobals.ren", "arnold")
        renderer = OF_SCENE.get(saved, saved)
        if renderer not in RENDERERS:
            raise _failed(path, f"Error: The renderer {saved} used by this scene is not available.")
    orders = read_orders(text, "//")
    if orders.licence:
        raise _failed(path, *RENDERERS[renderer].licence)
    return _render(_Job(path, scene, RENDERERS[renderer], given), orders)


def _parse(arguments: list[str]) -> tuple[str, dict[str, str], str]:
    """Return the renderer, flag -> value, and the scene's path."""
    renderer = "file"
    for flag, value in pairwise(arguments):
        if flag in ("-r", "-renderer"):
            renderer = value
    if renderer != "file" and renderer not in RENDERERS:
        raise RefusedError(
            1,
            f"Cannot find the renderer description file for renderer {renderer}",
            f"Available renderers: file {' '.join(RENDERERS)}",
        )
    own = RENDERERS[renderer].flags if renderer != "file" else {}
    kinds = {**COMMON, **own, "-r": str, "-renderer": str}
    given: dict[str, str] = {}
    rest = list(arguments)
    while len(rest) > 1:
        flag = rest.pop(0)
        if flag not in kinds:
            raise RefusedError(1, f"Error: unknown option {flag}", *_USAGE)
        value = rest.pop(0)
        if not _fits(kinds[flag], value):
            raise RefusedError(1, f"Error: bad value for {flag}: {value}", *_USAGE)
        given[flag] = value
    if not rest or rest[0].startswith("-"):
        raise RefusedError(1, "Error: no scene file was specified", *_USAGE)
    return renderer, given, rest[0]


def _fits(kind: type, value: str) -> bool:
    if kind is bool:
        return value.lower() in _BOOLEAN
    if kind is int:
        return re.fullmatch(r"-?\d+", value) is not None
    return kind is str or re.fullmatch(r"-?\d+(\.0*)?", value) is not None


def _failed(path: str, *lines: str) -> RefusedError:
    return RefusedError(
        210,
        *lines,
        f"Error: Scene {path} failed to render.",
        "// Maya exited with status 210",
    )


def _render(job: _Job, orders: Orders) -> int:
    root, extension = _target(job)
    cameras, layers = _cameras(job), _layers(job)
    if orders.error_exit_0:
        print(*job.renderer.failed, sep="\n")
    for layer in layers:
        for camera in cameras:
            for frame in job.frames():
                name = _name(job, layer, camera, frame, extension)
                if camera and len(cameras) > 1 and "<Camera>" not in job.given.get("-im", ""):
                    name = f"{camera}/{name}"
                if job.scene.layers and "<RenderLayer>" not in job.given.get("-im", ""):
                    name = f"{layer}/{name}"
                _frame(job, root / name, frame, extension, orders)
    print(f"Scene {job.path} completed.")
    print("// Maya exited with status 0")
    return 0


def _target(job: _Job) -> tuple[Path, str]:
    """Return the folder for images and their extension."""
    project = Path(job.given.get("-proj", "."))
    if not project.is_dir():
        raise _failed(job.path, f"Error: Cannot set the project: {project} does not exist.")
    wanted = job.given.get("-of", next(iter(job.renderer.formats)))
    if wanted not in job.renderer.formats:
        raise _failed(job.path, f"Error: Image format {wanted} is not available.")
    return Path(job.given.get("-rd", project / "images")), job.renderer.formats[wanted]


def _cameras(job: _Job) -> list[str]:
    wanted = job.given.get("-cam")
    if wanted is None:
        cameras = job.scene.renderable_cameras()
        if not cameras:
            raise _failed(job.path, "Error: No renderable camera in the scene.")
        return cameras
    if wanted not in {*job.scene.cameras, *job.scene.cameras.values()}:
        raise _failed(
            job.path, f"Error: makeCameraRenderable.mel line 34: Camera {wanted} does not exist."
        )
    return [job.scene.cameras.get(wanted, wanted)]


def _layers(job: _Job) -> list[str]:
    """Return the layers to render; the default one is called masterLayer in names."""
    wanted = job.given.get("-rl", "on")
    if wanted in _BOOLEAN:
        return ["masterLayer", *(job.scene.layers if _BOOLEAN[wanted] else [])]
    aliases = {"defaultRenderLayer": "masterLayer", "masterLayer": "masterLayer"}
    layers = [aliases.get(name, name) for name in wanted.split()]
    for layer in layers:
        if layer not in ("masterLayer", *job.scene.layers):
            raise _failed(job.path, f"Error: Render layer {layer} does not exist.")
    return layers


def _name(job: _Job, layer: str, camera: str, frame: int, extension: str) -> str:
    saved = job.scene.text("defaultRenderGlobals.ifp", "")
    prefix = job.given.get("-im") or saved or "<Scene>"
    for token, value in (
        ("<Scene>", Path(job.path).stem),
        ("<Camera>", camera),
        ("<RenderLayer>", layer),
    ):
        prefix = prefix.replace(token, value)
    padding = job.number("-pad", "defaultRenderGlobals.ep", 1)
    number = f"{frame:0{padding + (frame < 0)}d}"
    convention = _convention(job).replace("name", "\0").replace("ext", extension)
    return convention.replace("#", number).replace("\0", prefix)


def _convention(job: _Job) -> str:
    wanted = job.given.get("-fnc")
    if wanted is None:
        if not job.animated():
            return "name.ext"
        # What an old scene says, or one in which nobody chose: the number comes last.
        between = ("", ".", "_")[job.scene.number("defaultRenderGlobals.pie", 1)]
        first = job.scene.flag("defaultRenderGlobals.pff", default=False)
        return f"name{between}#.ext" if first else "name.ext.#"
    if wanted.isdigit() and 1 <= int(wanted) <= len(_CONVENTIONS):
        return _CONVENTIONS[int(wanted) - 1]
    if wanted not in _CONVENTIONS:
        raise _failed(job.path, f"Error: File name convention {wanted} is not available.")
    return wanted


def _frame(job: _Job, path: Path, frame: int, extension: str, orders: Orders) -> None:
    talk = job.renderer
    print(talk.progress.format(percent=0))
    if orders.at("crash-at", frame):
        print("Fatal Error. Attempting to save in /usr/tmp/untitled.ma")
    orders.begin(frame)
    if orders.at("fail-at", frame):
        raise _failed(job.path, *talk.failed)
    if _BOOLEAN[job.given.get("-skipExistingFrames", "off").lower()] and path.exists():
        print(f"Skipping existing frame {path}")
        return
    print(talk.progress.format(percent=50))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_frame(path, job.size(), frame, orders, extension)
    except OSError as error:
        raise _failed(job.path, f"Error: (kFailure): {path}: {error.strerror}") from None
    print(talk.progress.format(percent=100))
    print(talk.written.format(path=path))
