"""The content of ``program.yaml``, and what can be said about a program without starting it."""

import re
from typing import Literal

from pydantic import Field, model_validator

from farm.products._strict import Strict

Platform = Literal["linux", "windows", "macos"]


class VersionProbe(Strict):
    """One way to determine a program's version; either ``ask`` or ``path``.

    Attributes:
        ask: arguments.
        beside: name of the program to ask; None: the product's own.
        pattern: finds the version in its output.
        path: finds the version in the program's path.
    """

    ask: list[str] | None = None
    beside: str | None = None
    pattern: re.Pattern[str] | None = None
    path: re.Pattern[str] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "VersionProbe":
        if (self.ask is None) == (self.path is None) or (self.ask is None) != (
            self.pattern is None
        ):
            raise ValueError("a way has either 'ask' and 'pattern', or 'path'")
        return self


class Trace(Strict):
    """Files that prove a plug-in.

    Attributes:
        at: platform, or ``any``, -> globs.
        path, text: find the version in the path or in the file; without both it is unknown.
        environment: variables with which the program loads this one; a list is a list of paths that
            are prepended to the variable's value.
    """

    at: dict[Literal["any", "linux", "windows", "macos"], list[str]]
    path: re.Pattern[str] | None = None
    text: re.Pattern[str] | None = None
    environment: dict[str, str | list[str]] = {}


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

    names: list[str]
    folders: dict[Platform, list[str]]
    needs: list[str] = []
    levels_up: int = Field(default=1, ge=1)
    version: list[VersionProbe]
    python: bool = False
    series: re.Pattern[str]
    colours: dict[Literal["any", "linux", "windows", "macos"], list[str]] = {}
    plugins: dict[str, list[Trace]] = {}

    def series_of(self, version: str) -> str:
        """Return the series of a version, such as 3.4 of Blender 3.4.1 or 2025 of Maya 2025.2.

        A text that does not look like a version of the product is a series of its own.
        """
        match = self.series.match(version)
        return match[0] if match else version
