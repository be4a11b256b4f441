"""The data of ``programs.yaml``, and what can be said of a program without starting it."""

import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Platform = Literal["linux", "windows", "macos"]

_ANY_SERIES = re.compile(r"\d+\.\d+|\d+")


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Way(_Data):
    """One way to learn a program's version; ``ask`` or ``path``, see ``programs.yaml``.

    Attributes:
        ask: arguments.
        beside: name of the program to ask; None: the product's own.
        pattern: finds the version in what it prints.
        path: finds the version in the program's path.
    """

    ask: list[str] | None = None
    beside: str | None = None
    pattern: re.Pattern[str] | None = None
    path: re.Pattern[str] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Way":
        if (self.ask is None) == (self.path is None) or (self.ask is None) != (
            self.pattern is None
        ):
            raise ValueError("a way has either 'ask' and 'pattern', or 'path'")
        return self


class Trace(_Data):
    """Files that prove a plug-in.

    Attributes:
        at: platform, or ``any``, -> globs.
        path, text: find the version in the path or in the file; without both it is unknown.
        environment: variables with which the program loads this one; a list is a list of paths
            that are put in front of what the variable has.
    """

    at: dict[Literal["any", "linux", "windows", "macos"], list[str]]
    path: re.Pattern[str] | None = None
    text: re.Pattern[str] | None = None
    environment: dict[str, str | list[str]] = {}


class Program(_Data):
    """How to find a product's program; see ``programs.yaml``."""

    names: list[str]
    folders: dict[Platform, list[str]]
    needs: list[str] = []
    levels_up: int = Field(default=1, ge=1)
    version: list[Way]
    python: bool = False
    series: re.Pattern[str]
    plugins: dict[str, list[Trace]] = {}


@cache
def programs() -> Mapping[str, Program]:
    """Return all products that can be looked for, by short code."""
    text = (Path(__file__).parent / "programs.yaml").read_text(encoding="utf-8")
    return {app: Program.model_validate(data) for app, data in yaml.safe_load(text).items()}


def series(app: str, version: str) -> str:
    """Return the series of a version, such as 3.4 of Blender 3.4.1 or 2025 of Maya 2025.2.

    Versions of one series may stand in for each other. A text that does not look like a version of
    the product is a series of its own.
    """
    known = programs().get(app)
    match = (known.series if known else _ANY_SERIES).match(version)
    return match[0] if match else version


def this_platform() -> Platform:
    """Return how the data calls the platform that this process runs on."""
    if sys.platform == "win32":
        return "windows"
    return "macos" if sys.platform == "darwin" else "linux"


def version_in(pattern: re.Pattern[str], text: str) -> str | None:
    """Return the version that a pattern finds: its groups, joined with dots."""
    match = pattern.search(text)
    return ".".join(group for group in match.groups() if group) if match else None
