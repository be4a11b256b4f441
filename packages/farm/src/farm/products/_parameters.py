"""One documented parameter: how a job's value becomes the rendered value."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from farm_protocol.paths import UnsafePathError, canonical
from pydantic import JsonValue

_SLOWEST, _FASTEST = Fraction(1, 100), 1000
_NTSC_DENOMINATOR = 1001
_NTSC_NEAR = Fraction(1, 200)
"""As far is 23.98 from what it is short for; 24 is further away."""

ParameterType = Literal["string", "path", "list", "object", "bool", "int", "float", "rate"]

_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_WORDS |= {"false": False, "no": False, "off": False, "0": False}
LONGEST_TEXT = 4_096
"""Most characters of a text: as many as a path may have."""
LONGEST_LIST = 20_000
"""Most characters of a list that is a text: far above any sensible frame list, far below a command
line."""
_MAX_STRUCTURE = 100_000
"""Longest list or object in bytes of JSON, which becomes one argument: Linux takes 128 KiB."""
_MOST_ITEMS = 1_000
"""Most texts of a list."""


@dataclass(frozen=True)
class Parameter:
    """A documented parameter of a product.

    Attributes:
        name: as a job writes it.
        type: of the validated value.
        required: it has no default, so that a job must give it.
        default: the value when a job does not give it; None when required.
        choices: the allowed values; empty when any value is.
        aliases: other words for a choice, in the folded form of `fold`.
        refused: folded values that deserve an explanation, and the explanation.
        description: help text for people.
        minimum: smallest number that is allowed; None for no limit.
        least: smallest number except 0, which leaves it to the scene; None for no limit.
        maximum: largest, likewise.
        pattern: regular expression that a whole text must match; "" for any text.
        message: what to write, for a text that does not match.
        shortest: fewest characters of a text.
        longest: most characters of a text; longer ones are not checked further.
    """

    name: str
    type: ParameterType
    required: bool
    default: JsonValue
    choices: tuple[str, ...]
    description: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    minimum: float | None = None
    least: float | None = None
    maximum: float | None = None
    pattern: str = ""
    message: str = ""
    shortest: int = 0
    longest: int = LONGEST_TEXT

    def parse(self, value: JsonValue) -> JsonValue:
        """Return the value in this parameter's type, a choice in its own spelling.

        Raises:
            ValueError: with a message that names what is allowed.
        """
        match self.type:
            case "bool":
                return _parse_bool(value)
            case "int" | "float":
                return self._bound(_parse_number(value, self.type))
            case "path":
                return _parse_path(value, self.longest)
            case "rate":
                return _parse_rate(value)
            case "list" | "object":
                return _parse_structure(value, self.type)
            case "string":
                text = _parse_text(value, self.longest)
                return self._choose(text) if self.choices else self._match(text)

    def _bound(self, number: int | float) -> int | float:
        if self.minimum is not None and number < self.minimum:
            raise ValueError(f"{number} is too small: the minimum is {self.minimum}.")
        if self.least is not None and 0 < number < self.least:
            raise ValueError(
                f"{number} is too small: the minimum is {self.least}, or 0 to leave it as it is."
            )
        if self.maximum is not None and number > self.maximum:
            raise ValueError(f"{number} is too large: the maximum is {self.maximum}.")
        return number

    def _match(self, text: str) -> str:
        if len(text) < self.shortest:
            raise ValueError(f"'{text}' is too short: the minimum is {self.shortest} characters.")
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise ValueError(f"'{_short(text)}' is not a valid value. {self.message}")
        return text

    def _choose(self, text: str) -> str:
        folded = fold(text)
        if not folded and isinstance(self.default, str):
            return self.default
        for choice in self.choices:
            if fold(choice) == folded:
                return choice
        if folded in self.aliases:
            return self.aliases[folded]
        allowed = ", ".join(choice for choice in self.choices if choice)
        why = self.refused.get(folded, "")
        raise ValueError(
            f"'{_short(text)}' is not a valid value. {why}{' ' * bool(why)}Use {allowed}."
        )


@dataclass(frozen=True)
class Validated:
    """The result of `Template.validate`.

    Attributes:
        values: validated values, defaults filled in, unknown parameters as they came. Only usable
            when there are no errors.
        errors: parameter name -> messages; empty when the job can be accepted.
        warnings: messages about what was accepted but looks wrong.
    """

    values: dict[str, JsonValue]
    errors: dict[str, list[str]]
    warnings: list[str]


def as_text(value: JsonValue) -> str:
    """Return a validated value as OpenJD and programs get it."""
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def fold(text: str) -> str:
    """Return ``text`` normalised for comparison: ``Open-EXR`` equals ``open_exr``."""
    return "".join(character for character in text.casefold() if character not in "-_ .")


def _short(value: JsonValue) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _parse_path(value: JsonValue, longest: int) -> str:
    text = _parse_text(value, longest).lstrip("/")
    if not text:
        return ""
    try:
        return canonical(text)
    except UnsafePathError as error:
        raise ValueError(str(error)) from None


def _parse_structure(value: JsonValue, kind: Literal["list", "object"]) -> JsonValue:
    wanted = "a list of texts" if kind == "list" else "an object of names and values"
    if isinstance(value, str):
        # As from a form or a command line.
        try:
            value = json.loads(value) if value else ([] if kind == "list" else {})
        except ValueError:
            value = [value] if kind == "list" else value
    fits = isinstance(value, dict)
    if kind == "list":
        fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if not fits:
        raise ValueError(f"'{_short(value)}' is not {wanted}.")
    if isinstance(value, list) and len(value) > _MOST_ITEMS:
        raise ValueError(f"It has {len(value)} items; the maximum is {_MOST_ITEMS}.")
    if isinstance(value, list) and any(len(str(each)) > LONGEST_TEXT for each in value):
        raise ValueError(f"One of its items has more than {LONGEST_TEXT} characters.")
    size = len(json.dumps(value))
    if size > _MAX_STRUCTURE:
        raise ValueError(f"It is too long: {size} bytes as JSON; the maximum is {_MAX_STRUCTURE}.")
    return value


def _parse_bool(value: JsonValue) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and (word := value.strip().casefold()) in _WORDS:
        return _WORDS[word]
    raise ValueError(f"'{_short(value)}' is neither true nor false. Use true or false.")


def _parse_number(value: JsonValue, kind: Literal["int", "float"]) -> int | float:
    number: float | None = None
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = None
    # The comparison is false for NaN as well.
    if number is None or not abs(number) < 1e15 or (kind == "int" and number != int(number)):
        wanted = "a whole number" if kind == "int" else "a number"
        raise ValueError(f"'{_short(value)}' is not {wanted}.")
    return int(number) if kind == "int" else number


def _parse_rate(value: JsonValue) -> str:
    """Return frames a second as a whole number or a fraction, both as a text."""
    text = str(value)[:LONGEST_TEXT].strip()
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,20})?)(?:[/:]([0-9]{1,9}))?", text)
    if match is None or isinstance(value, bool):
        raise ValueError(
            f"'{_short(value)}' is not a frame rate. Write one such as 24, 12.5 or 24000/1001."
        )
    divisor = int(match[2] or 1)
    rate = Fraction(match[1]) / divisor if divisor else Fraction(0)
    if match[2] is None:
        # Film and video of the NTSC countries: 23.976 is short for this fraction.
        ntsc = (Fraction(nominal * 1000, 1001) for nominal in (24, 30, 48, 60, 120))
        rate = next((each for each in ntsc if abs(rate - each) < _NTSC_NEAR), rate)
    rate = rate.limit_denominator(_NTSC_DENOMINATOR)
    if not _SLOWEST <= rate <= _FASTEST:
        raise ValueError(
            f"The frame rate '{_short(value)}' is out of range. Give {_SLOWEST} to {_FASTEST}"
            " frames per second."
        )
    return str(rate)


def _parse_text(value: JsonValue, longest: int) -> str:
    # Scripts write frames=5; a bool is an int for Python but never meant as a text.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**15 else None
    if not isinstance(value, str):
        raise ValueError("It must be text.")  # noqa: TRY004 - one error type for all values
    if len(value) > longest:
        raise ValueError(f"It has {len(value)} characters; the maximum is {longest}.")
    if any(not character.isprintable() and character != " " for character in value):
        raise ValueError("It contains control characters or characters that are not valid text.")
    return value
