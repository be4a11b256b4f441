"""What a text says, told by the name of a message and never by its words.

The names are those of docs/reference/messages.md, which `tools/message_page.py` writes: a message
whose words change keeps its name, so no test changes with it.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property

from tools.message_page import bare, rows


def of_scene(warnings: Iterable[str]) -> list[str]:
    """Return the warnings that are not about how the machine confines renderers."""
    of_machine = ("render-machine-no-working-sandbox", "programs-outlive-claims")
    return [each for each in warnings if not any(says(each, name) for name in of_machine)]


class saying:
    """Equal to each text that is one message as a whole: ``answer == {"message": saying(...)}``.

    Parameters:
        name: of the message.
        values: what it is filled in with, as whole words and numbers, in any order; also other
            messages (``saying(...)``). What else it is filled in with may be anything.
    """

    def __init__(self, name: str, *values: object) -> None:
        if name not in _texts():
            raise LookupError(f"docs/reference/messages.md has no message called '{name}'")
        self._name, self._values = name, values

    def __eq__(self, other: object) -> bool:
        # What is filled in last, behind a space, may be nothing.
        texts = (str(other).strip(), f"{str(other).strip()} ")
        return any(each.fullmatch(text) for each in self._patterns for text in texts)

    def __call__(self, text: object) -> bool:
        """Return whether a text, or what an error says, has the message anywhere in it."""
        return any(each.search(str(text)) for each in self._patterns)

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f"saying({', '.join(map(repr, (self._name, *self._values)))})"

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [re.compile(each, re.DOTALL) for each in self._expressions()]

    def _expressions(self) -> Iterator[str]:
        """Yield the message with each way to fill it in."""
        values = [_expression(each) for each in self._values]
        for text in _texts()[self._name]:
            pieces = [_words(each) for each in text.split("{}")]
            if pieces[0][:1].islower():  # It may begin a sentence.
                pieces[0] = f"[{pieces[0][0]}{pieces[0][0].upper()}]{pieces[0][1:]}"
            for places in itertools.product(range(1, len(pieces)), repeat=len(values)):
                yield _filled(pieces, list(zip(places, values, strict=True)))


def says(text: object, name: str | saying, *values: object) -> bool:
    """Return whether a text, or what an error says, has a message in it; see `saying`."""
    return (name if isinstance(name, saying) else saying(name, *values))(text)


def _expression(value: object) -> str:
    if isinstance(value, saying):
        return f"(?:{'|'.join(value._expressions())})"
    return _words(str(value))


def _words(text: str) -> str:
    """Return an expression for a text, also where its lines were broken."""
    return r"\s+".join(map(re.escape, text.split(" ")))


def _filled(pieces: Sequence[str], values: Sequence[tuple[int, str]]) -> str:
    """Return an expression for a message.

    Parameters:
        pieces: what stands between the places where something is filled in.
        values: the place, from 1, and what is filled in there.
    """
    filled = pieces[0]
    for place, piece in enumerate(pieces[1:], 1):
        here = [value for at, value in values if at == place]
        # Nothing tells where a message begins that begins with what is filled in: in this line.
        # It goes on to the end where it ends with that.
        is_first, is_last = not filled, not piece and place == len(pieces) - 1
        before, behind = r"[^\n]*?" if is_first else ".*?", ".*" if is_last else ".*?"
        if here:
            # Whole words and numbers, but for what the message itself has beside them.
            begin, end = rf"{before}(?<!\w)", rf"(?!\w){behind}"
            filled += begin if is_first else f"(?:{begin})?"
            filled += r"(?!\w).*?(?<!\w)".join(here)
            filled += end if is_last else f"(?:{end})?"
        else:
            filled += before if is_first and not is_last else behind
        filled += piece
    return filled


@cache
def _texts() -> dict[str, set[str]]:
    texts: dict[str, set[str]] = defaultdict(set)
    for name, text in rows():
        texts[name].add(bare(text))
    return dict(texts)
