"""What the patterns of watches cannot use, found by reading their text.

Envoy matches patterns in linear time, which rules out what needs backtracking. It says so itself
(``farm_protocol.patterns``); here the same message comes earlier, where the watch is made.
"""

from __future__ import unicode_literals

import re

HINT = "Write it with alternatives and sets of characters, such as (png|exr) and [^/]."

LOOK_AHEAD = "a look-ahead, (?=...) or (?!...)"
LOOK_BEHIND = "a look-behind, (?<=...) or (?<!...)"
BACK_REFERENCE = "a back-reference, such as \\1 or (?P=name)"
CONDITION = "a condition, (?(...)...)"
ATOMIC_GROUP = "an atomic group, (?>...)"
POSSESSIVE = "a possessive repeat, such as *+ or ++"
WORD_BOUNDARY = "a word boundary, \\b or \\B"

_GROUPS = (
    ("(?=", LOOK_AHEAD),
    ("(?!", LOOK_AHEAD),
    ("(?<=", LOOK_BEHIND),
    ("(?<!", LOOK_BEHIND),
    ("(?P=", BACK_REFERENCE),
    ("(?(", CONDITION),
    ("(?>", ATOMIC_GROUP),
)
_SET = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]", re.DOTALL)
_COMMENT = re.compile(r"\(\?#[^)]*\)")
_OCTAL = re.compile(r"\\[0-3][0-7][0-7]")
_QUANTIFIER = re.compile(r"[*+?]|\{(?:\d+(?:,\d*)?|,\d*)\}")
# The flag x allows comments, and the flag a limits boundaries to ASCII, which Envoy supports.
_FLAGS = re.compile(r"\(\?[A-Za-z]*[ax]")


def construct_in(pattern):
    """Return the name of something in ``pattern`` that Envoy cannot match, or None.

    None may also mean that the text alone does not show it.
    """
    if _FLAGS.search(pattern):
        return None
    position = 0
    while position < len(pattern):
        character = pattern[position]
        for start, name in _GROUPS:
            if character == "(" and pattern.startswith(start, position):
                return name
        if character == "\\":
            following = pattern[position + 1 : position + 2]
            if following in ("b", "B"):
                return WORD_BOUNDARY
            if following in tuple("123456789") and not _OCTAL.match(pattern, position):
                return BACK_REFERENCE
            position += 2
            continue
        skipped = _SET.match(pattern, position) or _COMMENT.match(pattern, position)
        if skipped:
            position = skipped.end()
            continue
        repeated = _QUANTIFIER.match(pattern, position)
        if repeated and position:
            if pattern.startswith("+", repeated.end()):
                return POSSESSIVE
            # The "?" of "*?" belongs to the "*".
            position = repeated.end() + int(pattern.startswith("?", repeated.end()))
            continue
        position += 1
    return None


def message_about(construct):
    """Return what is wrong with a pattern that uses a construct."""
    return "The pattern uses {0}, which is not supported. {1}".format(construct, HINT)
