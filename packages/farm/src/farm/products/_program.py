"""The content of ``program.yaml``, and what can be said about a program without starting it."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from farm.products._strict import Defined, FileName, Name, Strict, Version

Platform = Literal["linux", "windows", "macos"]

_BRACES = re.compile(r"\{[^{}]*\}?|\}")


def _check_names(text: str, known: Sequence[str]) -> str:
    """Return a text in which all braces are known names; they are replaced, not formatted."""
    for name in _BRACES.findall(text):
        if name not in known:
            instead = f"Write {' or '.join(known)}" if known else "Remove it"
            raise ValueError(f"nothing fills in '{name}' of '{text}'. {instead}")
    return text


def _checked_place(text: str) -> str:
    _check_names(text, ("{folder}", "{version}", "{series}"))
    rest = text.removeprefix("{folder}")
    if "{folder}" in rest or "$" in text[1:] or (rest != text and rest[:1] not in ("", "/")):
        raise ValueError(f"'{text}' may only begin with '{{folder}}' or a '$VARIABLE'. Move it")
    return text


def _checked_glob(text: str) -> str:
    return _checked_place(_check_names(text, ()))


Glob = Annotated[str, Field(min_length=1), AfterValidator(_checked_glob)]
"""A path with ``/`` on every platform, which may begin with a ``$VARIABLE``."""
Place = Annotated[str, Field(min_length=1), AfterValidator(_checked_place)]
"""A glob with a program's folder, version and series in braces."""
Places = dict[Literal["any", "linux", "windows", "macos"], list[Place]]


class VersionProbe(Strict):
    """One way to determine a program's version; either ``ask`` or ``path``.

    Attributes:
        ask: arguments.
        beside: name of the program to ask; None: the product's own.
        pattern: finds the version in its output.
        path: finds the version in the program's path.
    """

    ask: list[str] | None = None
    beside: FileName | None = None
    pattern: Version | None = None
    path: Version | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "VersionProbe":
        if (self.ask is None) == (self.path is None) or (self.ask is None) != (
            self.pattern is None
        ):
            raise ValueError("a way has 'ask' and 'pattern', or 'path' alone. Write one of both")
        if self.beside is not None and self.ask is None:
            raise ValueError("'beside' has no effect without 'ask'. Add that")
        return self


class Trace(Strict):
    """Files that prove a plug-in.

    Attributes:
        at: platform, or ``any``, -> globs.
        path, text: find the version in the path or in the file; without both it is unknown.
        environment: variables with which the program loads this one; a list is a list of paths that
            are prepended to the variable's value.
    """

    at: Annotated[Places, Field(min_length=1)]
    path: Version | None = None
    text: Version | None = None
    environment: dict[Defined, str | list[str]] = {}

    @model_validator(mode="after")
    def _check(self) -> "Trace":
        if self.path is not None and self.text is not None:
            raise ValueError("'path' and 'text' both find the version. Remove one of them")
        for value in self.environment.values():
            for text in [value] if isinstance(value, str) else value:
                _check_names(text, ("{place}", "{version}", "{series}"))
        return self


class Program(Strict):
    """How to find a product's program, its version, and its plug-ins.

    Attributes:
        names: names on the PATH; with ``*`` or ``[]`` all that match, else the first.
        folders: where installers put the program, by platform; ``$VARIABLE`` from the environment.
        needs: programs that must be in the same folder.
        levels_up: from the program's own folder to the folder that ``{folder}`` means below.
        version: ways to determine it, in this order. Groups of a pattern are joined with dots. A
            program that fails when asked is not usable.
        python: a Python that has this product's module is a renderer, too.
        series: the common part of versions that can replace each other.
        colours: globs for the OpenColorIO configuration that the program brings along, by platform
            or ``any``; the first one that is there. As for plug-ins.
        plugins: the files that prove each one. ``{folder}``, ``{version}`` and ``{series}`` are the
            product's; ``{place}`` is the plug-in's folder, ``..`` the folder above.
    """

    names: Annotated[list[FileName], Field(min_length=1)]
    folders: dict[Platform, list[Glob]]
    needs: list[FileName] = []
    levels_up: int = Field(default=1, ge=1)
    version: Annotated[list[VersionProbe], Field(min_length=1)]
    python: bool = False
    series: re.Pattern[str]
    colours: Places = {}
    plugins: dict[Name, Annotated[list[Trace], Field(min_length=1)]] = {}

    def series_of(self, version: str) -> str:
        """Return the series of a version, such as 3.4 of Blender 3.4.1 or 2025 of Maya 2025.2.

        A text that does not look like a version of the product is a series of its own.
        """
        match = self.series.match(version)
        return match[0] if match else version
