"""The content of ``<operation>.farm.yaml``: everything that OpenJD has no field for."""

import re
import string
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator

from farm.products._scenes import SceneFormat
from farm.products._strict import (
    Defined,
    Extension,
    FileNameOrNone,
    Filled,
    Line,
    Message,
    Name,
    SceneExtension,
    Strict,
    VariableOrPath,
)

Several = Field(min_length=1)
"""For a list or mapping that would say nothing if it were empty."""
_BACK_REFERENCE = re.compile(r"(?<!\\)(\\\\)*\\[1-9]|\(\?P=")


class TextRule(Strict):
    """The required form of a text.

    Attributes:
        pattern: must match the whole text.
        message: tells the user what to write, if it does not match.
    """

    pattern: re.Pattern[str]
    message: Message


class Maximum(Strict):
    """The maximum of a parameter, depending on the value of another one.

    Attributes:
        of: the other parameter.
        is_: its value -> the maximum.
    """

    of: Name
    is_: Annotated[dict[str, int], Several] = Field(alias="is")


class ParametersWithReason(Strict):
    """Parameters that share a reason.

    Attributes:
        names: names of the parameters.
        because: the reason; it follows a parameter's name in a message.
    """

    names: Annotated[list[Name], Several]
    because: Message


class Outputs(Strict):
    """How files are named: ``<prefix><frame><.extension>``.

    Attributes:
        prefix: parameter with the beginning of the name.
        format: parameter with the file format.
        extensions: value of ``format`` -> extension, without the dot.
    """

    prefix: Name
    format: Name
    extensions: Annotated[dict[str, Extension], Several]


class LineWithMessage(Strict):
    """A line of output, and what it means for the job's owner.

    Attributes:
        marker: regular expression that finds the line.
        message: message to the user; ``{name}`` is replaced by the match of the group of that
            name.
    """

    marker: Line
    message: Message

    @model_validator(mode="after")
    def _groups(self) -> "LineWithMessage":
        _known(placeholders(self.message), self.marker.groupindex, "a group of the marker")
        return self


class NoLicence(Strict):
    """How to recognise that a renderer got no licence. No failure: the job is retried later.

    Attributes:
        markers: regular expressions that find the line of output.
        exit_codes: exit codes with this meaning.
    """

    markers: list[Line]
    exit_codes: list[Annotated[int, Field(ge=1, le=2**32 - 1)]]

    @model_validator(mode="after")
    def _joined(self) -> "NoLicence":
        _can_be_joined(self.markers)
        return self


class Failures(Strict):
    """How to recognise failures.

    Attributes:
        markers: regular expressions for lines of output that fail the claim, whatever the exit
            code.
        hopeless: lines after which retrying is pointless.
        no_licence: see there.
    """

    markers: list[Line]
    hopeless: list[LineWithMessage] = []
    no_licence: NoLicence

    @model_validator(mode="after")
    def _joined(self) -> "Failures":
        _can_be_joined(self.markers)
        return self


class Wait(Strict):
    """A time-out in ``seconds``, and the parameter by which a job can override it."""

    seconds: float = Field(gt=0)
    parameter: Name


class Timeouts(Strict):
    """The longest time for one frame, and without any output of the renderer."""

    frame: Wait
    silence: Wait


class PlugInNeeds(Strict):
    """What the renderer of a job with a plug-in may additionally access.

    Attributes:
        licences: the plug-in's licence servers.
        folders: environment variables with folders that the plug-in reads.
        program: product whose program, on the same machine, belongs to the plug-in.
    """

    licences: bool
    folders: tuple[Defined, ...]
    program: Name | Literal[""] = ""


class Sandbox(Strict):
    """What a renderer may access beside the job's own folders.

    Attributes:
        licences: the licence servers that are listed in the studio's file.
        visible: paths, or environment variables that contain paths.
        trial: arguments for a trial without a scene: if the program succeeds with them outside the
            sandbox, it must succeed inside.
        python: the farm's own Python runs inside; by default, if there is a part ``drive``.
        plugins: by the plug-in's code.
    """

    licences: bool
    visible: tuple[VariableOrPath, ...] = ()
    trial: tuple[str, ...] = ("--version",)
    python: bool | None = None
    plugins: dict[Name, PlugInNeeds] = {}


class IfSet(Strict):
    """Arguments that are omitted if a parameter in them is not set."""

    optional: Annotated[tuple[str, ...], Several]


class IfParameterSet(Strict):
    """Arguments that are omitted if the parameter ``when`` is not set."""

    when: Name
    use: Annotated[tuple[str, ...], Several]


def _kind_of_argument(value: Any) -> str:
    """Return which alternative is meant, so that a fault in it is told as one of that."""
    if not isinstance(value, Mapping):
        return "text"
    return "if parameter set" if "when" in value else "if set"


Argument = Annotated[
    Annotated[str, Tag("text")]
    | Annotated[IfSet, Tag("if set")]
    | Annotated[IfParameterSet, Tag("if parameter set")],
    Discriminator(_kind_of_argument),
]


class LinesOfOutput(Strict):
    """Regular expressions for the program's output; see `farm.products._drive.Lines`."""

    started: Line | None = None
    written: Line | None = None
    writing: Line | None = None
    progress: Line | None = None

    @model_validator(mode="after")
    def _groups(self) -> "LinesOfOutput":
        for name, group in (("started", "frame"), ("progress", "percent")):
            pattern = getattr(self, name)
            if pattern is not None and group not in pattern.groupindex:
                raise ValueError(
                    f"'{name}' has no group {group}. Enclose that number in (?P<{group}>...)"
                )
        return self


class Driving(Strict):
    """How to run a program that has only a command line; see `farm.products._drive.Drive`."""

    command: Annotated[list[Argument], Several]
    writes: tuple[str, ...]
    lines: LinesOfOutput
    stems: dict[str, Name] = {}
    size: tuple[Name, ...] = ()
    environment: dict[Defined, str] = {}
    words: dict[Name, dict[str, str]] = {}
    setup: FileNameOrNone = ""
    folders: bool = False

    @model_validator(mode="after")
    def _width_and_height(self) -> "Driving":
        if len(self.size) not in (0, 2):
            raise ValueError("'size' must name two parameters: the width and the height")
        return self

    def texts(self) -> list[str]:
        """Return all texts with ``{names}`` to replace, except those of ``writes``."""
        found: list[str] = list(self.environment.values())
        for item in self.command:
            match item:
                case IfSet():
                    found += item.optional
                case IfParameterSet():
                    found += item.use
                case _:
                    found.append(item)
        return found


class Colours(Strict):
    """OpenColorIO configurations of another product's programs, on the same machine.

    Attributes:
        of: the product.
        when: parameter -> values with which a job needs them.
    """

    of: Name
    when: dict[Name, Annotated[tuple[JsonValue, ...], Several]]


class Companion(Strict):
    """One operation's ``.farm.yaml``.

    Attributes:
        like: operation of the same product whose values are the defaults of all fields; also of the
            OpenJD template, if this operation has none.
        operation: the actual operation; by default the name of the file.
        description: for people; by default that of the OpenJD template.
        frames: parameter with the list of frames.
        scene: format of the scenes, if the farm itself reads information from them.
        scenes: file extensions of scenes, without the dot; () allows any.
        input: ``sequence``: the job's path is an image sequence, which another job may have yet to
            render.
        program: the executable that renders, next to the one that is searched for.
        other_program: operation that renders scenes with other extensions.
        types: parameter -> its type, for types that OpenJD does not have; it is a STRING there.
        aliases: parameter -> alias -> value; aliases are compared without regard to case, ``-``,
            ``_``, ``.`` and spaces.
        refused: parameter -> refused value -> message with the reason.
        patterns: parameter -> required form of its text.
        least: parameter -> minimum; 0 is also allowed, and means the scene's own setting.
        most: parameter -> maximum, depending on another parameter.
        needs: parameter -> parameter that must also be set.
        needs_plugin: parameter -> value -> plug-in that the job must then name.
        needs_gpu: parameter -> values with which a job needs a machine with a GPU.
        refuses: parameters that must be empty.
        ignores: parameters that are ignored with a warning, since other jobs of the project may
            need them.
        prefixes: further parameters that are prefixes of file names, beside that of ``outputs``.
        outputs: how files are named; by default, only the scene determines that.
        naming: parameter that changes the names of the files; by default the prefix of ``outputs``.
        objects: name -> member -> parameter, for parameters that are passed as one JSON object.
        scene_module: module in the same folder, without ``.py``, that reads scenes. It defines
            ``read_scene(scene, partial, values) -> SceneFiles`` and, if the parameters alone
            determine the names of files, ``image_name(scene, values) -> str``.
        colours: OpenColorIO configurations of another product's programs; see `Colours`.
        scene_values: additional values that this module provides for the program's arguments.
        whole: all frames are rendered by one renderer, and all again after a failure.
        single_range: the frames must be a single range with one step.
        warnings: lines of output after which frames may differ from what their artist means; only
            from the first frame on, since what is printed before may be resolved by then.
        drive: how to run a program that has only a command line; otherwise, the OpenJD template
            starts a script of the product.
    """

    like: Name | None = None
    operation: Name | None = None
    description: str | None = None
    frames: Name
    scene: SceneFormat | None = None
    scenes: tuple[SceneExtension, ...] = ()
    input: Literal["scene", "sequence"] = "scene"
    program: FileNameOrNone = ""
    other_program: Name | Literal[""] = ""
    types: dict[Name, Literal["path", "list", "object", "rate"]] = {}
    aliases: dict[Name, Annotated[dict[str, str], Several]] = {}
    refused: dict[Name, Annotated[dict[str, Message], Several]] = {}
    patterns: dict[Name, TextRule] = {}
    least: dict[Name, int | float] = {}
    most: dict[Name, Maximum] = {}
    needs: dict[Name, Name] = {}
    needs_plugin: dict[Name, dict[str, Name]] = {}
    needs_gpu: dict[Name, Annotated[tuple[JsonValue, ...], Several]] = {}
    refuses: ParametersWithReason | None = None
    ignores: ParametersWithReason | None = None
    prefixes: list[Name] = []
    outputs: Outputs | None = None
    naming: Name | None = None
    objects: dict[Filled, dict[str, Name]] = {}
    scene_module: Name | None = None
    scene_values: list[Filled] = []
    colours: Colours | None = None
    whole: bool = False
    single_range: bool = False
    failures: Failures
    warnings: list[LineWithMessage] = []
    timeouts: Timeouts
    sandbox: Sandbox
    drive: Driving | None = None

    @model_validator(mode="after")
    def _check_consistency(self) -> "Companion":
        if self.single_range and not self.whole:
            raise ValueError("'single_range' is for 'whole' operations only. Add 'whole: true'")
        if self.scene_values and not self.scene_module:
            raise ValueError("'scene_values' has no effect without 'scene_module'. Add that")
        if self.scene_module and not self.drive:
            raise ValueError("'scene_module' has no effect without 'drive'. Add that")
        if self.drive and not self.drive.writes and not self.scene_module:
            raise ValueError("'drive.writes' is empty. Fill it in, or name a 'scene_module'")
        return self

    def names(self) -> dict[str, Iterable[str]]:
        """Return the names of the parameters that each field refers to."""
        outputs = [self.outputs.prefix, self.outputs.format] if self.outputs else []
        drive = self.drive
        return {
            "frames": [self.frames],
            "types": self.types,
            "aliases": self.aliases,
            "refused": self.refused,
            "patterns": self.patterns,
            "least": self.least,
            "most": [*self.most, *(each.of for each in self.most.values())],
            "needs": [*self.needs, *self.needs.values()],
            "needs_plugin": self.needs_plugin,
            "needs_gpu": self.needs_gpu,
            "colours": self.colours.when if self.colours else [],
            "prefixes": self.prefixes,
            "outputs": outputs,
            "naming": [self.naming] if self.naming else [],
            "objects": [name for each in self.objects.values() for name in each.values()],
            "refuses": self.refuses.names if self.refuses else [],
            "timeouts": [self.timeouts.frame.parameter, self.timeouts.silence.parameter],
            "drive.stems": drive.stems.values() if drive else [],
            "drive.size": drive.size if drive else [],
            "drive.words": drive.words if drive else [],
            "drive.command": [
                each.when for each in drive.command if isinstance(each, IfParameterSet)
            ]
            if drive
            else [],
        }


def placeholders(text: str) -> list[str]:
    """Return the names in the ``{placeholders}`` of a text.

    Raises ValueError for a brace without the other one, and for a format: values are texts.
    """
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError(
            f"A brace of '{text}' has no other one. Add it, or write a brace twice that is meant as"
            " such"
        ) from None
    for _, name, how, conversion in parts:
        if how or conversion:
            raise ValueError(f"'{text}' says how '{name}' is formatted. Write '{{{name}}}' only")
    return [name for _, name, _, _ in parts if name is not None]


def any_of(patterns: Iterable[re.Pattern[str]]) -> re.Pattern[str]:
    """Return one expression for all; without any, one that is never found."""
    return re.compile("|".join(f"(?:{each.pattern})" for each in patterns) or r"(?!)")


def _can_be_joined(patterns: Iterable[re.Pattern[str]]) -> None:
    for each in patterns:
        if each.groupindex or _BACK_REFERENCE.search(each.pattern):
            raise ValueError(
                f"the marker '{each.pattern}' names or repeats a group. Use '(...)' only"
            )
        try:
            any_of([each, each])
        except re.error:
            raise ValueError(
                f"the marker '{each.pattern}' has a flag for the whole. Write '(?i:...)' instead"
            ) from None


def _known(names: Iterable[str], there: Mapping[str, Any] | Iterable[str], what: str) -> None:
    for name in names:
        if name not in there:
            raise ValueError(f"'{{{name}}}' is not {what}. Write one of {', '.join(there) or '-'}")
