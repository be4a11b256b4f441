"""How to drive a program of which only the command line is known. Pure: data in, data out.

The part ``drive`` of ``<app>_<operation>.farm.yaml`` says what `Drive` holds. For a claim it
becomes the orders for ``shared/drive.py``, which starts the program, reads its lines and gives
each frame's files the documented name. A program is started once for each run of evenly spaced
frames: that is what all of them understand.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm.products._companion import Driving, IfParameterSet, IfSet
from farm.products._runs import even_runs
from farm.products._scenes import SceneFiles
from farm.products.shared.farm_numbering import numbered
from farm.products.shared.farm_orders import Orders

_MOST_DIGITS = 12
_UNSET = ("", "0", "0.0", "false")
"""Values with which a job leaves something to the scene."""

RUN_FIELDS = frozenset({"first", "last", "step", "count", "extension"})
"""What is filled in for a run of frames, beside all parameters."""
RUNNER_FIELDS = frozenset(
    {
        *("Python", "Scripts", "Shared", "RendererKind", "Renderer", "Plugins", "SceneFile"),
        *("ProjectFolder", "ProjectRoot", "OutputFolder", "PartialFolder", "HomeFolder"),
        *("Sandbox", "Whole", "FrameRange", "FrameCount"),
    }
)
"""What every runner fills in; see `farm.runner.claim.parameters`."""
WRITTEN_FIELDS = frozenset({"number", "printf", "digits", "extension"})
"""What is filled in for the name of a file."""


@dataclass(frozen=True)
class Argument:
    """Some arguments that belong together.

    Attributes:
        texts: with ``{names}`` of parameters, of the run's ``{first}``, ``{last}``, ``{step}``
            and ``{count}``, and ``{extension}`` of the files.
        optional: left out as a whole when a parameter in them is not set.
        when: parameter that must be set; "" for none.
    """

    texts: tuple[str, ...]
    optional: bool = False
    when: str = ""


@dataclass(frozen=True)
class Lines:
    """Expressions for the program's lines of output; "" when it prints no such line.

    Attributes:
        started: a frame begins; the group ``frame`` is its number.
        written: a frame's files are complete; its number likewise, or else it is the one begun.
        writing: some file is being written, nobody knows of which frame: of all frames whose file
            is there, only the last one may be incomplete.
        progress: the group ``percent`` tells how far a frame is.
    """

    started: str = ""
    written: str = ""
    writing: str = ""
    progress: str = ""


@dataclass(frozen=True)
class Drive:
    """One program's command line, output and files.

    Attributes:
        command: after the program itself.
        writes: names that a frame's file may have as the program makes it, below the partial
            folder: with ``{number}`` as in Blender or ``{printf}`` as in C, both of four digits,
            or ``{digits}`` of any number of digits, as the scene says; () when a module for the
            product's scenes tells them.
        stems: what other files of a frame begin with -> parameter with the prefix that they get.
        size: parameters with width and height in pixels, () when there are none.
        environment: variables of the program, beside the few harmless ones.
        words: parameter -> its values as the program spells them.
        folders: the program may put a frame's files, as a whole, into folders of several cameras
            or layers; then each of these must have one.
        setup: shell script beside the program that must be sourced first, where it exists.
    """

    command: tuple[Argument, ...]
    writes: tuple[str, ...]
    lines: Lines
    stems: Mapping[str, str]
    size: tuple[str, ...]
    environment: Mapping[str, str]
    words: Mapping[str, Mapping[str, str]]
    setup: str
    folders: bool

    def orders(
        self,
        values: Mapping[str, str],
        frames: Sequence[int],
        names: Mapping[int, Sequence[str]],
        extension: str,
        found: SceneFiles | None = None,
        copy: tuple[Path, Path] | None = None,
    ) -> Orders:
        """Return the orders for ``shared/drive.py``.

        Parameters:
            values: all parameters as texts, those that the runner fills as well.
            frames: ascending.
            names: the files of each frame, relative to the output folder.
            extension: of the files.
            found: what the scene itself says, where only it knows.
            copy: a file, and where the program finds a copy of it.
        """
        if found is not None:
            values = {**values, "SceneFile": str(found.scene), **found.values}
        values = {
            name: self.words.get(name, {}).get(value, value) for name, value in values.items()
        }
        width, height = (values[name] for name in self.size) if self.size else ("0", "0")
        return {
            "program": values["Renderer"],
            "runs": [
                {"arguments": self._arguments(values, run, extension), "frames": list(run)}
                for run in even_runs(frames)
            ],
            "files": {
                str(frame): (found.files(frame) if found is not None else None)
                or [(self._written(values, frame, extension), name) for name in names[frame]]
                for frame in frames
            },
            "stems": {stem: values[name].replace("#", "") for stem, name in self.stems.items()},
            "started": self.lines.started,
            "written": self.lines.written,
            "writing": self.lines.writing,
            "progress": self.lines.progress,
            "size": [int(width), int(height)] if int(width) and int(height) else None,
            "setup": self.setup,
            "folders": self.folders,
            "environment": {
                **{name: _fill(text, values) for name, text in self.environment.items()},
                **(found.environment if found is not None else {}),
            },
            "warnings": list(found.warnings) if found is not None else [],
            "copy": [str(each) for each in copy or ()],
            "partial": values["PartialFolder"],
            "output": values["OutputFolder"],
        }

    def _arguments(self, values: Mapping[str, str], run: range, extension: str) -> list[str]:
        fields = {
            **values,
            "first": str(run[0]),
            "last": str(run[-1]),
            "step": str(run.step),
            "count": str(len(run)),
            "extension": extension,
        }
        arguments: list[str] = []
        for item in self.command:
            names = [item.when] if item.when else []
            if item.optional:
                names += [name for text in item.texts for name in _names(text) if name in values]
            if all(values[name] not in _UNSET for name in names):
                arguments += [_fill(text, fields) for text in item.texts]
        return arguments

    def _written(self, values: Mapping[str, str], frame: int, extension: str) -> list[str]:
        fields = {
            **values,
            "number": numbered("", frame),
            "printf": numbered("", frame, signed_digits=True),
            "extension": extension,
        }
        found = [
            _fill(text, {**fields, "digits": digits})
            for text in self.writes
            for digits in _digits(frame)
        ]
        return list(dict.fromkeys(found))


def drive_of(notes: Driving) -> Drive:
    """Return what a companion's ``drive`` says."""
    lines = {name: pattern.pattern for name, pattern in notes.lines if pattern is not None}
    return Drive(
        command=tuple(map(_argument, notes.command)),
        writes=notes.writes,
        lines=Lines(**lines),
        stems=notes.stems,
        size=notes.size,
        environment=notes.environment,
        words=notes.words,
        setup=notes.setup,
        folders=notes.folders,
    )


def _argument(item: str | IfSet | IfParameterSet) -> Argument:
    if isinstance(item, str):
        return Argument((item,))
    if isinstance(item, IfSet):
        return Argument(item.optional, optional=True)
    return Argument(item.use, when=item.when)


def _digits(frame: int) -> list[str]:
    """Return a frame's number with each number of digits, whether or not a sign is one."""
    return [
        numbered("#" * count, frame, signed_digits=signed)
        for signed in (False, True)
        for count in range(1, _MOST_DIGITS + 1)
    ]


def _names(text: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(text) if name]


def _fill(text: str, values: Mapping[str, str]) -> str:
    return text.format_map(values)
