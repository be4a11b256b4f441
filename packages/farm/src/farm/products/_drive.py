"""How to run a program that has only a command line. Pure: data in, data out.

`Drive` holds the part ``drive`` of ``<operation>.farm.yaml``. For each claim, it is converted to
the orders for ``shared/drive.py``, which starts the program, parses its output and gives each
frame's files their documented names. The program is started once per run of evenly spaced frames,
which all such programs support.
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
"""Values that mean "not set": the scene's own setting is used."""

RUN_FIELDS = frozenset({"first", "last", "step", "count", "extension"})
"""Placeholders for a run of frames, beside all parameters."""
RUNNER_FIELDS = frozenset(
    {
        *("Python", "Scripts", "Shared", "RendererKind", "Renderer", "Plugins", "SceneFile"),
        *("ProjectFolder", "ProjectRoot", "OutputFolder", "PartialFolder", "HomeFolder"),
        *("Sandbox", "Whole", "FrameRange", "FrameCount", "Colours", "PathMap"),
    }
)
"""Placeholders that every runner replaces; see `farm.runner.claim.parameters`."""
WRITTEN_FIELDS = frozenset({"number", "printf", "digits", "extension"})
"""Placeholders in the name of a file."""


@dataclass(frozen=True)
class Argument:
    """Arguments that belong together.

    Attributes:
        texts: may contain placeholders: names of parameters, ``{first}``, ``{last}``, ``{step}``
            and ``{count}`` of the run, and ``{extension}`` of the files.
        optional: all are omitted if a parameter in them is not set.
        when: parameter without which all are omitted; "" for none.
    """

    texts: tuple[str, ...]
    optional: bool = False
    when: str = ""


@dataclass(frozen=True)
class Lines:
    """Regular expressions for the program's output; "" if it prints no such line.

    Attributes:
        started: a frame was started; the group ``frame`` is its number.
        written: the files of a frame are complete; without a group ``frame``, it is the one that
            was started last.
        writing: a file is being written, but the line does not contain its frame. Of all frames
            whose file exists, only the last one may be incomplete.
        progress: the group ``percent`` is the progress of the current frame.
    """

    started: str = ""
    written: str = ""
    writing: str = ""
    progress: str = ""


@dataclass(frozen=True)
class Drive:
    """One program's command line, output and files.

    Attributes:
        command: arguments of the program.
        writes: possible names of a frame's file as written by the program, relative to the partial
            folder. ``{number}`` is the frame as in Blender, ``{printf}`` as in C, both with four
            digits; ``{digits}`` with any number of digits, since the scene determines it. () if the
            scene module provides the names.
        lines: how to parse the output.
        stems: prefix of additional files of a frame -> parameter with the prefix that replaces it.
        size: parameters with width and height in pixels; () if there are none.
        environment: additional environment variables of the program.
        words: parameter -> value -> how the program spells it.
        folders: the program may write a set of the frame's files into a folder for each camera or
            layer; a frame is complete if all of these folders have it.
        setup: shell script next to the program that is sourced first, if it exists.
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
            values: all parameters as texts, including those that the runner provides.
            frames: frame numbers, ascending.
            names: paths of each frame's files, relative to the output folder.
            extension: extension of the files.
            found: the answer of the scene module, if there is one.
            copy: a file, and the path of the copy that is made of it for the program.
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
    """Convert the part ``drive`` of a companion."""
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
    """Return a frame number padded to each width, with the sign counted as a digit and not."""
    return [
        numbered("#" * count, frame, signed_digits=signed)
        for signed in (False, True)
        for count in range(1, _MOST_DIGITS + 1)
    ]


def _names(text: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(text) if name]


def _fill(text: str, values: Mapping[str, str]) -> str:
    return text.format_map(values)
