"""Compares what an operation's companion says with the parameters of its OpenJD template.

Every name of a parameter, every value of one and every type that a field needs is checked here, so
that a mistake is told when the farm starts and not by an artist's job.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import JsonValue

from farm.products._companion import Companion, IfSet, placeholders
from farm.products._definitions import OpenJobTemplate
from farm.products._drive import RUN_FIELDS, RUNNER_FIELDS, WRITTEN_FIELDS
from farm.products._files import ProductError
from farm.products._parameters import Parameter, as_text, fold
from farm.products._prefix import check_file_name, check_prefix

_PER_PARAMETER = ("types", "aliases", "refused", "patterns", "least")
"""Fields about one parameter: taken over from `like`, they may be about one that is not here."""
_NUMBERS = ("int", "float")
_ORDERS, _COUNT = "Orders", "FrameCount"
_FRAME_NUMBERS = WRITTEN_FIELDS - {"extension"}


class Checks:
    """The checks of one companion. Each raises `ProductError` for the first mistake."""

    def __init__(
        self,
        file: Path,
        companion: Companion,
        template: OpenJobTemplate,
        parameters: Iterable[Parameter],
    ) -> None:
        """Keep what is compared.

        Parameters:
            file: that the companion comes from.
            template: of the same operation.
            parameters: the documented ones.
        """
        self._file = file
        self._companion = companion
        self._definitions = {each.name: each for each in template.parameter_definitions}
        self._parameters = {each.name: each for each in parameters}

    def all(self) -> None:
        """Check everything."""
        for field, names in self._companion.names().items():
            self._check_names(field, names)
        self._check_types()
        self._check_words()
        self._check_numbers()
        self._check_values()
        self._check_patterns()
        self._check_file_names()
        self._check_filled()
        self._check_drive()

    def _fail(self, field: str, problem: str) -> ProductError:
        return ProductError(f"{self._file}: {field}: {problem}")

    def _check_names(self, field: str, names: Iterable[str]) -> None:
        companion = self._companion
        elsewhere = {
            name
            for notes in (companion.refuses, companion.ignores)
            for name in (notes.names if notes else ())
        }
        for name in names:
            if field in ("refuses", "ignores"):
                if name in self._parameters:
                    raise self._fail(
                        field, f"'{name}' is a parameter of this operation. Remove it here."
                    )
            elif name not in self._parameters and not (
                field in _PER_PARAMETER and name in elsewhere
            ):
                raise self._fail(
                    field,
                    f"There is no parameter '{name}'. Write one of {', '.join(self._parameters)}.",
                )

    def _here(self, field: str) -> Iterator[tuple[Parameter, Any]]:
        """Yield what one of the fields about a parameter says, for parameters that are here."""
        for name, value in getattr(self._companion, field).items():
            if name in self._parameters:
                yield self._parameters[name], value

    def _check_types(self) -> None:
        for parameter, kind in self._here("types"):
            definition = self._definitions[parameter.name]
            fields = {"allowed_values", "min_length", "max_length"} & definition.model_fields_set
            if definition.type != "STRING" or fields:
                raise self._fail(
                    f"types.{parameter.name}",
                    f"A {kind} must be a STRING in the template, without allowedValues, minLength"
                    " and maxLength. Change it there, or remove it here.",
                )
            if kind in ("list", "object") and definition.default:
                raise self._fail(
                    f"types.{parameter.name}",
                    f"The default of a {kind} is empty. Write 'default: \"\"' in the template.",
                )
            if definition.default:
                try:
                    parameter.parse(definition.default)
                except ValueError as error:
                    raise self._fail(f"types.{parameter.name}", f"The default: {error}") from None
        outputs, naming = self._companion.outputs, self._companion.naming
        for field, names in (
            ("frames", [self._companion.frames]),
            ("prefixes", self._companion.prefixes),
            ("outputs.prefix", [outputs.prefix] if outputs else []),
            ("naming", [naming] if naming else []),
        ):
            for name in names:
                self._check_kind(field, name, ["string"], False)

    def _check_kind(
        self, field: str, name: str, kinds: Iterable[str], choices: bool | None = None
    ) -> None:
        """Refuse a parameter of another type, or with choices where there may be none.

        Parameters:
            choices: whether it must have some; None for both.
        """
        parameter = self._parameters[name]
        if parameter.type not in kinds or choices is (not parameter.choices):
            wanted = "allowedValues" if choices else "no allowedValues"
            also = f", with {wanted}" if choices is not None else ""
            raise self._fail(
                field,
                f"The parameter '{name}' is of the type {parameter.type}"
                f"{' with allowedValues' * bool(parameter.choices)}. Name one of the type"
                f" {' or '.join(kinds)}{also}.",
            )

    def _check_words(self) -> None:
        for parameter, words in self._here("aliases"):
            field = f"aliases.{parameter.name}"
            self._check_kind(field, parameter.name, ["string"], True)
            choices = {fold(choice): choice for choice in parameter.choices}
            meant: dict[str, str] = {}
            for word, value in words.items():
                if value not in parameter.choices:
                    raise self._fail(
                        f"{field}.{word}",
                        f"'{value}' is not a choice. Write one of"
                        f" {', '.join(filter(None, parameter.choices))}.",
                    )
                other = choices.get(fold(word)) or meant.setdefault(fold(word), value)
                if other != value:
                    raise self._fail(
                        f"{field}.{word}",
                        f"'{word}' is the same word as one for '{other}'. Remove one of them.",
                    )
        for parameter, words in self._here("refused"):
            field = f"refused.{parameter.name}"
            self._check_kind(field, parameter.name, ["string"], True)
            known = {fold(each) for each in (*parameter.choices, *parameter.aliases)}
            for word in words:
                if fold(word) in known:
                    raise self._fail(
                        f"{field}.{word}", "It is a choice, or an alias of one. Remove one of them."
                    )
        for parameter, needed in self._here("needs_plugin"):
            field = f"needs_plugin.{parameter.name}"
            self._check_kind(field, parameter.name, ["string"], True)
            for value in needed:
                self._check_value(field, parameter, value)

    def _check_numbers(self) -> None:
        for parameter, least in self._here("least"):
            field = f"least.{parameter.name}"
            self._check_kind(field, parameter.name, _NUMBERS)
            if (parameter.minimum or 0) > 0:
                raise self._fail(
                    field, "0 is smaller than the parameter's minValue. Remove minValue or this."
                )
            if parameter.maximum is not None and least > parameter.maximum:
                raise self._fail(
                    field, f"{least} is larger than maxValue, {parameter.maximum}. Lower it."
                )
        for name, most in self._companion.most.items():
            self._check_kind(f"most.{name}", name, ["int"])
            self._check_kind(f"most.{name}.of", most.of, ["string"], True)
            for value in most.is_:
                self._check_value(f"most.{name}.is", self._parameters[most.of], value)
        timeouts = self._companion.timeouts
        for field, wait in (("frame", timeouts.frame), ("silence", timeouts.silence)):
            self._check_kind(f"timeouts.{field}", wait.parameter, _NUMBERS)

    def _check_values(self) -> None:
        colours = self._companion.colours
        for field, table in (
            ("needs_gpu", self._companion.needs_gpu),
            ("colours.when", colours.when if colours else {}),
        ):
            for name, values in table.items():
                for value in values:
                    self._check_value(f"{field}.{name}", self._parameters[name], value)
        for name, other in self._companion.needs.items():
            if name == other:
                raise self._fail(f"needs.{name}", "It needs itself. Name another parameter.")

    def _check_value(self, field: str, parameter: Parameter, value: JsonValue) -> None:
        """Refuse what a parameter's value never is once it has been validated."""
        try:
            parsed = parameter.parse(value)
        except ValueError as error:
            raise self._fail(
                field, f"It is not a valid value of the parameter '{parameter.name}'. {error}"
            ) from None
        if type(parsed) is not type(value) or parsed != value:
            raise self._fail(
                field,
                f"The parameter '{parameter.name}' can never be {json.dumps(value)}. Use"
                f" {json.dumps(parsed)}.",
            )

    def _check_patterns(self) -> None:
        for parameter, rule in self._here("patterns"):
            field = f"patterns.{parameter.name}"
            self._check_kind(field, parameter.name, ["string"], False)
            default = parameter.default
            if isinstance(default, str) and not rule.pattern.fullmatch(default):
                raise self._fail(
                    field, f"The parameter's default '{default}' does not match. Change one."
                )

    def _check_file_names(self) -> None:
        outputs, other = self._companion.outputs, self._companion.naming
        if outputs is not None:
            self._check_kind("outputs.format", outputs.format, ["string"], True)
            choices = set(self._parameters[outputs.format].choices)
            if unknown := choices ^ set(outputs.extensions):
                raise self._fail(
                    "outputs.extensions",
                    f"It must have each choice of '{outputs.format}' once. Add or remove"
                    f" {', '.join(sorted(unknown))}.",
                )
        prefixes = {outputs.prefix} if outputs else set()
        for name in sorted({*prefixes, *self._companion.prefixes}):
            prefix = self._parameters[name].default
            try:
                if isinstance(prefix, str) and prefix:
                    check_prefix(prefix)
                if self._companion.whole and name in prefixes and isinstance(prefix, str):
                    check_file_name(self._parameters[name], prefix)
            except ValueError as error:
                raise self._fail(f"outputs.prefix '{name}'", f"The default: {error}") from None
        if other is not None and outputs is not None and other == outputs.prefix:
            raise self._fail("naming", "It is the prefix of 'outputs' anyway. Remove it.")

    def _check_filled(self) -> None:
        """Refuse parameters that nobody fills in, or that two do."""
        companion = self._companion
        objects, values = set(companion.objects), set(companion.scene_values)
        for field, names in (("objects", objects), ("scene_values", values)):
            if taken := sorted(names & RUNNER_FIELDS):
                raise self._fail(
                    field, f"The runner itself fills in '{taken[0]}'. Choose another name."
                )
        for name in sorted(objects):
            if name not in self._definitions or self._definitions[name].type != "STRING":
                raise self._fail(
                    "objects",
                    f"The template declares no parameter '{name}' of the type STRING. Add it"
                    " there, or remove it here.",
                )
        orders = {_ORDERS} if companion.drive else set()
        known = RUNNER_FIELDS | objects | orders
        for name in self._definitions:
            if name not in self._parameters and name not in known:
                raise self._fail(
                    "parameterDefinitions",
                    f"Nothing fills in '{name}' of the template. Write one of"
                    f" {', '.join(sorted(known))}; parameters that jobs set have small letters.",
                )
            wanted = "INT" if name == _COUNT else "STRING"
            if name not in self._parameters and self._definitions[name].type != wanted:
                raise self._fail(
                    "parameterDefinitions",
                    f"'{name}' is filled in with another type. Write 'type: {wanted}' in the"
                    " template.",
                )
        if orders - self._definitions.keys():
            raise self._fail(
                "drive",
                f"The template declares no parameter '{_ORDERS}'. Add it, and pass it to drive.py.",
            )

    def _check_drive(self) -> None:
        companion, drive = self._companion, self._companion.drive
        if drive is None:
            return
        known = {*self._definitions, *companion.scene_values, *RUNNER_FIELDS}
        run = RUN_FIELDS if companion.outputs else RUN_FIELDS - {"extension"}
        for text in drive.texts():
            self._check_fields("drive.command", text, known | run)
        for text in drive.environment.values():
            # The same for all runs of the program.
            self._check_fields("drive.environment", text, known)
        for item in drive.command:
            if isinstance(item, IfSet) and not any(
                name in known for text in item.optional for name in placeholders(text)
            ):
                raise self._fail(
                    "drive.command",
                    f"Nothing in {list(item.optional)} can be left unset. Write a parameter in"
                    " braces, or leave out 'optional'.",
                )
        written = WRITTEN_FIELDS if companion.outputs else _FRAME_NUMBERS
        for text in drive.writes:
            names = self._check_fields("drive.writes", text, known | written)
            if not companion.whole and _FRAME_NUMBERS.isdisjoint(names):
                raise self._fail(
                    "drive.writes",
                    f"'{text}' is the same for every frame. Write one of"
                    f" {', '.join(f'{{{name}}}' for name in sorted(_FRAME_NUMBERS))} in it.",
                )
            if text.startswith("/") or ".." in text.split("/"):
                raise self._fail(
                    "drive.writes",
                    f"'{text}' leads out of the partial folder. Write a path inside it.",
                )
        for name in drive.size:
            self._check_kind("drive.size", name, ["int"])
        for name in drive.stems.values():
            self._check_kind("drive.stems", name, ["string"], False)
        for name, words in drive.words.items():
            for value in words:
                self._check_text(f"drive.words.{name}", self._parameters[name], value)

    def _check_fields(self, field: str, text: str, known: Iterable[str]) -> list[str]:
        try:
            names = placeholders(text)
        except ValueError as error:
            raise self._fail(field, f"{error}.") from None
        for name in names:
            if name not in known:
                raise self._fail(
                    field,
                    f"Nothing fills in '{{{name}}}' of '{text}'. Write one of"
                    f" {', '.join(sorted(known))}.",
                )
        return names

    def _check_text(self, field: str, parameter: Parameter, text: str) -> None:
        """Refuse what is not the text of a value as the program gets it."""
        try:
            parsed = as_text(parameter.parse(text))
        except ValueError as error:
            raise self._fail(
                field, f"'{text}' is not a valid value of '{parameter.name}'. {error}"
            ) from None
        if parsed != text:
            raise self._fail(
                field, f"'{parameter.name}' can never be '{text}'. Use '{parsed}' instead."
            )


def check_function(module: ModuleType, path: Path, name: str, arguments: int) -> None:
    """Refuse a module without a function that takes so many arguments.

    Raises:
        ProductError: with the file.
    """
    function: Callable[..., object] | None = getattr(module, name, None)
    try:
        if function is not None:
            inspect.signature(function).bind(*range(arguments))
            return
    except (TypeError, ValueError):
        pass
    raise ProductError(
        f"{path} has no function {name} that takes {arguments} arguments. Add it, as"
        " 'scene_module' in products/_companion.py describes."
    )
