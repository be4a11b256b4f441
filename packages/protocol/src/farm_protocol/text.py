"""Untrusted text: what a name may contain, and how any text is shown on a terminal.

Control characters make a terminal act: clear itself, write to the clipboard, show one line in place
of another. Bidirectional controls and line separators make text look like other text; interlinear
annotations and tag characters hide text that programs read and people do not see. So names and
labels may contain none of them; all other text, such as messages and logs, is kept as it came and
`escaped` when it is shown.
"""

import json
import logging
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from farm_protocol.faults import ID

_BEYOND = (
    "\x7f-\x9f\u2028\u2029\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufdd0-\ufdef\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f\U000e0100-\U000e01ef"
) + "".join(chr(plane * 0x10000 + last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
"""C1, line and paragraph separators, bidirectional embeddings, overrides and isolates, invisible
operators and formats, surrogates, interlinear annotations, controls of shorthand and music, tags,
variation selectors beyond the first sixteen, and noncharacters. Marks and joiners are part of real
names (Persian, Hindi, emoji); tags occur only in the flags of England, Scotland and Wales.
"""
_ANY = re.compile(f"[\x00-\x1f{_BEYOND}]")
_IN_TEXT = re.compile(f"[\x00-\x08\x0b-\x1f{_BEYOND}]")
"""All control characters but tab and newline."""


def one_line(text: str) -> str:
    """Return ``text`` if it is a name or label that can be shown. Raises ValueError."""
    if text.isascii() and text.isprintable():
        return text  # Most texts are, and there may be a million of them.
    if found := _ANY.search(text):
        raise ValueError(f"It contains the control character {_code(found[0])}.")
    return text


def printable(text: str) -> str:
    """Return ``text`` if each of its characters is visible. Raises ValueError."""
    if not text.isprintable():
        raise ValueError("it contains a character that cannot be printed")
    return text


def storable_text(text: str) -> str:
    """Return ``text`` without NUL, which PostgreSQL cannot store; all else stays."""
    return text.replace("\0", "\ufffd")


def valid_text(text: str) -> str:
    """Return ``text`` with its surrogates written as their codes.

    Names of files contain them where they are not valid text; no database, JSON or terminal accepts
    them.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str, longest: int) -> str:
    """Return ``text`` for an answer that may repeat what was sent.

    The input may be long, or invalid Unicode, which no answer can carry.
    """
    shown = text if len(text) <= longest else text[: longest - 3] + "..."
    return shown.encode("utf-8", "replace").decode("utf-8")


def escaped(text: str, *, lines: bool = False) -> str:
    """Return ``text`` for display: characters that a terminal obeys are written as codes.

    Parameters:
        lines: it may contain newlines and tabs.
    """
    return (_IN_TEXT if lines else _ANY).sub(lambda found: _code(found[0]), text)


def json_text(value: Any, *, default: Any = None) -> str:
    """Return JSON for people and programs: real letters, but nothing that a terminal obeys."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=default)
    return _IN_TEXT.sub(lambda found: json.dumps(found[0])[1:-1], text)


class EscapingFormatter(logging.Formatter):
    """Log lines that untrusted text cannot break or colour. Tracebacks keep their lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without its traceback."""
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Return the traceback."""
        return escaped(super().formatException(ei), lines=True)


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


Line = Annotated[str, AfterValidator(one_line)]
"""A name, a label: text without control characters."""
Printable = Annotated[str, AfterValidator(printable)]
"""The name of a machine or its programs: stricter than `Line`, since no person has chosen it."""
Told = Annotated[str, AfterValidator(storable_text)]
"""Output of a program; shown only `escaped`."""
Id = Annotated[str, Field(pattern=ID)]
"""An id assigned by the farm."""
