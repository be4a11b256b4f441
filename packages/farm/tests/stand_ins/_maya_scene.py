"""Maya ASCII scenes in miniature: nodes and the attributes that the Render command looks at."""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r'\s+|//[^\n]*|"((?:[^"\\]|\\.)*)"|(;)|([^\s;"]+)')
_LONG = {
    "currentRenderer": "ren",
    "animation": "an",
    "startFrame": "fs",
    "endFrame": "ef",
    "byFrameStep": "bfs",
    "extensionPadding": "ep",
    "imageFilePrefix": "ifp",
    "outFormatControl": "ofc",
    "periodInExt": "pie",
    "putFrameBeforeExt": "pff",
    "width": "w",
    "height": "h",
    "renderable": "rnd",
}
"""Long name of an attribute -> short one, as Maya saves it."""
_OFF = ("off", "no", "false", "0")


class SceneError(Exception):
    """The file is no scene. ``str()`` says why."""


@dataclass
class MayaScene:
    """What a scene says.

    Attributes:
        cameras: name of a camera's shape -> name of its transform.
        layers: render layers, without the default one.
        attributes: ``node.short`` -> values.
    """

    cameras: dict[str, str] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def text(self, attribute: str, default: str) -> str:
        """Return an attribute's last value."""
        return self.attributes.get(attribute, [default])[-1]

    def number(self, attribute: str, default: int) -> int:
        """Return a number, without what is behind its point."""
        return int(float(self.text(attribute, str(default))))

    def flag(self, attribute: str, *, default: bool) -> bool:
        """Return a boolean."""
        return self.text(attribute, "on" if default else "off") not in _OFF

    def renderable_cameras(self) -> list[str]:
        """Return the transforms of the cameras that are rendered when none is asked for."""
        return [
            transform
            for shape, transform in self.cameras.items()
            if self.flag(f"{shape}.rnd", default=True)
        ]


def parse(text: str) -> MayaScene:
    """Read a scene.

    Raises:
        SceneError: it is not Maya ASCII, or a statement is not closed.
    """
    if not text.startswith("//Maya ASCII "):
        raise SceneError("line 1: the file is not Maya ASCII")
    scene = MayaScene()
    node = ""
    for words in _statements(text):
        match words:
            case ["createNode", kind, *flags]:
                node = _flag(flags, "-n") or f"{kind}1"
                if kind == "camera":
                    scene.cameras[node] = _flag(flags, "-p") or node
                elif kind == "renderLayer" and node != "defaultRenderLayer":
                    scene.layers.append(node)
            case ["select", "-ne", name]:
                node = name.lstrip(":")
            case ["setAttr", *rest]:
                _set(scene, node, rest)
    return scene


def _statements(text: str) -> list[list[str]]:
    """Split into statements of words; quotes are removed."""
    statements: list[list[str]] = []
    words: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SceneError(f"line {text.count(chr(10), 0, at) + 1}: Unterminated string.")
        at = match.end()
        if match[2]:
            statements.append(words)
            words = []
        elif match[1] is not None:
            words.append(re.sub(r"\\(.)", r"\1", match[1]))
        elif match[3] is not None:
            words.append(match[3])
    if words:
        raise SceneError(f"line {text.count(chr(10)) + 1}: Syntax error")
    return statements


def _flag(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1] if flag in words[:-1] else ""


def _set(scene: MayaScene, node: str, words: list[str]) -> None:
    # setAttr -k off ".v" no; setAttr ".ren" -type "string" "arnold";
    at = next((index for index, word in enumerate(words) if "." in word), None)
    if at is None:
        raise SceneError("setAttr: No object matches name")
    owner, _, attribute = words[at].partition(".")
    name = f"{owner.lstrip(':') or node}.{_LONG.get(attribute, attribute)}"
    scene.attributes[name] = words[at + 1 :]
