"""As much of Tcl as Nuke's scripts use: commands, words, and the few functions in file names."""

import os
from collections.abc import Callable

_SPACE = " \t\r"


class TclError(Exception):
    """A script cannot be read. ``str()`` says why, in Tcl's words."""


def commands(text: str) -> list[list[str]]:
    """Split a script into commands of words.

    Quotes and backslashes are resolved, the outer braces of a word removed. Brackets stay as they
    are: Nuke saves them escaped and resolves them when it uses a knob, see `expand`.

    Raises:
        TclError: a brace, quote or bracket is not closed, or text follows a closing one.
    """
    found: list[list[str]] = []
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in "\n;":
            if words:
                found.append(words)
            words = []
            at += 1
        elif text[at] in _SPACE:
            at += 1
        elif text.startswith("\\\n", at):
            at += 2
        elif text[at] == "#" and not words:
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        else:
            word, at = _word(text, at)
            words.append(word)
    if words:
        found.append(words)
    return found


def expand(text: str, value: Callable[[str], str]) -> str:
    """Resolve ``[...]`` in a knob's text.

    Known are ``value``, ``getenv`` and ``file dirname|tail|rootname``.

    Parameters:
        value: returns what ``[value NAME]`` stands for; KeyError when there is no such knob.

    Raises:
        TclError: it cannot be resolved.
    """
    result = ""
    at = 0
    while (start := text.find("[", at)) >= 0:
        end = _closing(text, start, "[", "]")
        (call, *others) = commands(text[start + 1 : end - 1]) or [[""]]
        if others:
            raise TclError("only one command fits into brackets")
        result += text[at:start] + _call([expand(word, value) for word in call], value)
        at = end
    return result + text[at:]


def _call(words: list[str], value: Callable[[str], str]) -> str:
    match words:
        case ["value", knob]:
            try:
                return value(knob)
            except KeyError:
                raise TclError(f"{knob}: no such knob") from None
        case ["getenv", name]:
            return os.environ.get(name, "")
        case ["file", "dirname", path]:
            return os.path.dirname(path) or "."
        case ["file", "tail", path]:
            return os.path.basename(path)
        case ["file", "rootname", path]:
            return os.path.splitext(path)[0]
    raise TclError(f'invalid command name "{words[0]}"')


def _word(text: str, at: int) -> tuple[str, int]:
    """Return the word that begins at an index, and the index behind it."""
    if text[at] == "{":
        end = _closing(text, at, "{", "}")
        _separate(text, end, "close-brace")
        return text[at + 1 : end - 1], end
    if text[at] == '"':
        word, end = _until(text, at + 1, '"')
        if end == len(text):
            raise TclError('missing "')
        _separate(text, end + 1, "close-quote")
        return word, end + 1
    return _until(text, at, _SPACE + "\n;")


def _until(text: str, at: int, stops: str) -> tuple[str, int]:
    word = ""
    while at < len(text) and text[at] not in stops:
        if text[at] == "\\" and at + 1 < len(text):
            word += {"n": "\n", "t": "\t"}.get(text[at + 1], text[at + 1])
            at += 2
        elif text[at] == "[":
            end = _closing(text, at, "[", "]")
            word += text[at:end]
            at = end
        else:
            word += text[at]
            at += 1
    return word, at


def _closing(text: str, at: int, opens: str, closes: str) -> int:
    """Return the index behind the bracket that closes the one at an index."""
    depth = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == opens:
            depth += 1
        elif text[at] == closes:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    raise TclError("missing close-brace" if closes == "}" else "missing close-bracket")


def _separate(text: str, at: int, what: str) -> None:
    if at < len(text) and text[at] not in _SPACE + "\n;":
        raise TclError(f"extra characters after {what}")
