"""V-Ray scenes in miniature: plugins and their parameters."""

import re
from dataclasses import dataclass, field

_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*')
_PLUGIN = re.compile(r"\s*([A-Z]\w*)\s+([\w@|:./-]+)\s*\{")
_PARAMETER = re.compile(r'\s*(\w+)\s*=\s*((?:"(?:[^"\\\n]|\\.)*"|[^";{}])*?)\s*;')


class VrsceneError(Exception):
    """The file is no scene. ``str()`` says why."""


@dataclass
class Plugin:
    """A plugin of a scene.

    Attributes:
        kind: such as ``SettingsOutput``.
        parameters: name -> value as written, strings without their quotes.
    """

    kind: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse(text: str) -> dict[str, Plugin]:
    """Return a scene's plugins by name.

    Raises:
        VrsceneError: something is neither a plugin nor a parameter.
    """
    # Blanked and not cut out: errors name lines.
    text = _COMMENT.sub(lambda found: found[1] or " " * len(found[0]), text)
    plugins: dict[str, Plugin] = {}
    at = 0
    while text[at:].strip():
        head = _PLUGIN.match(text, at)
        if head is None:
            raise _error(text, at)
        plugin = plugins[head[2]] = Plugin(head[1])
        at = head.end()
        while parameter := _PARAMETER.match(text, at):
            plugin.parameters[parameter[1]] = parameter[2].strip('"')
            at = parameter.end()
        close = re.compile(r"\s*\}").match(text, at)
        if close is None:
            raise _error(text, at)
        at = close.end()
    return plugins


def _error(text: str, at: int) -> VrsceneError:
    at += len(text[at:]) - len(text[at:].lstrip())
    return VrsceneError(f"line {text.count(chr(10), 0, at) + 1}: syntax error")
