"""Does a regular expression take longer than its text does? Tried with texts made from itself.

A text is ``start + part * n + end``, where all three come from the
expression's own parse tree: what it repeats, what stands before that, and what cannot follow. Only
processor time of this thread is measured, and only how it grows: a busy machine changes neither.
"""

import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

SHORT, LONG = 500, 4_000
"""Characters of the texts that are compared, or eight times as many where the part that is repeated
is long. Work that grows with the square of the text takes eight times as long for one long text as
for as many letters in short ones."""

_TIMES_AS_LONG = 3
_NOTICED_SECONDS = 0.004
_FIRST, _FIRST_SECONDS = (24, 200), 0.02
"""Shorter texts come first: what grows even faster would not end with those above. Nothing is
compared here, so the limit is one that no slow machine reaches: what is linear takes a
millisecond."""

_MOST_STARTS, _MOST_PARTS = 8, 40
_METHODS = {
    "search": lambda pattern, text: pattern.search(text),
    "match": lambda pattern, text: pattern.match(text),
    "fullmatch": lambda pattern, text: pattern.fullmatch(text),
    "sub": lambda pattern, text: pattern.sub(text[:0], text),
}
_ENDS = ("", "\0", "\n!", " /")


def slow_text(pattern: "re.Pattern[Any]", methods: Iterable[str]) -> str | None:
    """Return how a text looks for which the pattern takes too long; None when none was found.

    Parameters:
        methods: of the pattern that are called: those of `_METHODS`.
    """
    for start, part, end in _candidates(pattern):
        for method in methods:
            if _grows(pattern, method, start, part, end):
                return f"{method}: {start!r} + {part!r} * n + {end!r}"
    return None


def _grows(pattern: "re.Pattern[Any]", method: str, start: str, part: str, end: str) -> bool:
    def seconds(length: int, times: int = 1) -> float:
        text: Any = start + part * (length * min(len(part), 8) // len(part)) + end
        if isinstance(pattern.pattern, bytes):
            text = text.encode("utf-8")
        begin = time.thread_time()
        for _ in range(times):
            _METHODS[method](pattern, text)
        return time.thread_time() - begin

    for length in _FIRST:
        if all(seconds(length) > _FIRST_SECONDS for _ in range(3)):
            return True
    if (long := seconds(LONG)) < _NOTICED_SECONDS:
        return False
    # As many letters in all: what disturbs the machine for a while then disturbs both alike.
    short = seconds(SHORT, LONG // SHORT)
    for _ in range(4):
        if long < _NOTICED_SECONDS or long < _TIMES_AS_LONG * short:
            return False
        long, short = min(long, seconds(LONG)), max(short, seconds(SHORT, LONG // SHORT))
    return True


def _candidates(pattern: "re.Pattern[Any]") -> Iterator[tuple[str, str, str]]:
    nodes = list(_parsed(pattern))
    letters = list(dict.fromkeys(_letters(nodes)))[:12]
    starts = [each for i in range(len(nodes)) for each in _of(nodes[:i])[:2]]
    parts = [
        *letters,
        *_repeated(nodes),
        *_begun(nodes),
        *_of(nodes),
        *(a + b for a, b in itertools.permutations(letters[:5], 2)),
    ]
    ends = [*_ENDS, *(f"\0{each}" for each in letters[:3])]
    return itertools.product(
        list(dict.fromkeys(["", *reversed(starts)]))[:_MOST_STARTS],
        [each for each in dict.fromkeys(parts) if each][:_MOST_PARTS],
        ends,
    )


def _parsed(pattern: "re.Pattern[Any]") -> Any:
    text: Any = pattern.pattern
    return re._parser.parse(text, pattern.flags)  # type: ignore[attr-defined]


def _repeated(nodes: Sequence[Any]) -> Iterator[str]:
    """Yield texts of all that is repeated somewhere in the expression."""
    for kind, value in _walk(nodes):
        if kind.endswith("_REPEAT"):
            yield from _of(list(value[-1]))


def _begun(nodes: Sequence[Any]) -> Iterator[str]:
    """Yield how what the expression consists of begins, up to each thing that is repeated."""
    for i, (kind, value) in enumerate(nodes):
        if any(each.endswith("_REPEAT") for each, _ in _walk([(kind, value)])):
            yield from _of(nodes[:i])[:2]
            yield from _of(nodes[: i + 1])[:2]
        for each in _inside(value):
            yield from _begun(list(each))


def _walk(nodes: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for kind, value in nodes:
        yield str(kind), value
        for each in _inside(value):
            yield from _walk(each)


def _inside(value: Any) -> Iterator[Any]:
    for inner in value if isinstance(value, tuple) else [value]:
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, re._parser.SubPattern):  # type: ignore[attr-defined]
                yield each


def _letters(nodes: Iterable[Any]) -> Iterator[str]:
    for kind, value in _walk(nodes):
        if kind in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
            yield from _samples(kind, value)


def _of(nodes: Sequence[Any]) -> list[str]:
    """Return texts that a sequence of nodes matches, or nearly: each differs in one of them."""
    samples = [_samples(str(kind), value) or [""] for kind, value in nodes]
    first = [each[0] for each in samples]
    others = [
        "".join([*first[:i], other, *first[i + 1 :]])
        for i, each in enumerate(samples)
        for other in each[1:]
    ]
    return list(dict.fromkeys(["".join(first), *others]))


def _samples(kind: str, value: Any) -> list[str]:
    """Return texts for one node, the most telling one first."""
    match kind:
        case "LITERAL":
            return [chr(value)]
        case "NOT_LITERAL":
            return ["b" if chr(value) == "a" else "a"]
        case "ANY":
            return ["a", " "]
        case "IN":
            return _of_set(value)
        case "BRANCH":
            return [each for branch in value[1] for each in _of(list(branch))[:3]]
        case "SUBPATTERN":
            return _of(list(value[3]))
        case "ATOMIC_GROUP":
            return _of(list(value))
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, _, inner = value
            return [each * max(1, least) for each in _of(list(inner))] + [""] * (not least)
        case "AT" if str(value) == "AT_BEGINNING":
            return ["\n", ""]
        case _:
            return [""]


def _of_set(members: Sequence[Any]) -> list[str]:
    tried = [chr(value) for kind, value in members if str(kind) == "LITERAL"]
    tried += [chr(value[0]) for kind, value in members if str(kind) == "RANGE"]
    tried += ["a", "1", " ", "\t", "/", "A", "_", ".", "#", "-"]
    return [each for each in dict.fromkeys(tried) if _is_in(each, members)][:4]


def _is_in(letter: str, members: Sequence[Any]) -> bool:
    classes: dict[str, Callable[[str], bool]] = {
        "CATEGORY_DIGIT": str.isdigit,
        "CATEGORY_SPACE": str.isspace,
        "CATEGORY_WORD": lambda each: each.isalnum() or each == "_",
    }
    negated = found = False
    for kind, value in members:
        match str(kind):
            case "NEGATE":
                negated = True
            case "LITERAL":
                found |= chr(value) == letter
            case "RANGE":
                found |= value[0] <= ord(letter) <= value[1]
            case "CATEGORY":
                name = str(value)
                is_not = "NOT_" in name
                found |= classes[name.replace("NOT_", "")](letter) is not is_not
    return found is not negated
