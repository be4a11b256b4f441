"""A template: validates a job's parameters, names its files, says how to watch its renderer."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from farm_protocol.paths import canonical
from pydantic import JsonValue

from farm.products._companion import Colours
from farm.products._drive import Drive
from farm.products._file_names import FileNames
from farm.products._parameters import Parameter, Validated
from farm.products._plugins import PlugIn, chosen
from farm.products._prefix import check_file_name, check_prefix
from farm.products._scenes import SceneFormat
from farm.products.shared.farm_numbering import numbered

MOST_WHOLE = 500_000
"""Most frames of a job that one renderer does as a whole: unlike others it lists them all."""
_LONGEST_NUMBER = 1_000_000
"""A frame's number, negative, that is as long as any."""
_MOST_HINTS = 10
"""Limit of unknown parameters for which a similar name is searched, which takes a while."""
_EMPTY: tuple[JsonValue, ...] = (None, "", "[]", "{}", [], {})


@dataclass(frozen=True)
class OutputNames:
    """How files are named: the parameters with the prefix and the format, format -> extension."""

    prefix: str
    format: str
    extensions: Mapping[str, str]


@dataclass(frozen=True)
class Timeout:
    """``seconds`` of a product, and the parameter with which a job may set its own."""

    seconds: float
    parameter: str


@dataclass(frozen=True)
class Symptoms:
    """How a renderer's output and exit code show what went wrong, or may have.

    Attributes:
        failed: a line that it matches fails the claim, whatever the exit code says.
        hopeless: lines that condemn it for good -> what to tell, as a message; ``{name}`` in it is
            what the expression's group of that name found.
        no_licence: a line that says that there was no licence.
        no_licence_codes: exit codes that say so.
        warnings: lines from the first frame on after which frames may look otherwise than their
            artist means -> what to tell, as for ``hopeless``.
    """

    failed: re.Pattern[str]
    hopeless: Mapping[re.Pattern[str], str]
    no_licence: re.Pattern[str]
    no_licence_codes: frozenset[int]
    warnings: Mapping[re.Pattern[str], str]


@dataclass(frozen=True)
class Template:
    """One operation of one product.

    Attributes:
        name: ``<app>_<operation>``, as `RunnerJob.template` names it.
        parameters: the documented ones, in the documented order.
        path: of the OpenJD template.
        scripts: folder of the scripts that the template's command runs.
        program: the executable that renders, in the folder of the one that the renderer is found
            by; "" for that one itself.
        scenes: what the names of its scenes end with, without the dot; () for any.
        other: the template for scenes with other names; None when there is none.
        scene: format of the scenes; None: only the renderer can read them.
        frames: name of the parameter that lists the frames.
        outputs: how files are named; None when only the scene knows.
        frame_timeout: how long one frame may take.
        silence_timeout: how long the renderer may print nothing.
        licences: whether the renderer may reach the licence servers that the studio's file names,
            and else no network at all; in a sandbox.
        needs_gpu: parameter -> values with which a job needs a machine that has a GPU.
        plugins: plug-ins that need more than the product itself, by their codes.
        needs: parameters that only make sense when another one is set -> the other one.
        most: parameter -> (another one, value of that -> its largest number with that).
        refuses: parameters that a job may only leave empty -> why.
        ignores: parameters of a whole project that other jobs may need -> why not this one.
        needs_plugin: parameter -> value -> code of the plug-in with which alone it works.
        whole: all frames belong together: one renderer does all of them, and starts over after a
            failure. For the farm such a job has one frame.
        single_range: the frames must be one range with one step; only where `whole`.
        sequence: a job's path names an image sequence (see `parse_sequence`), which may be made by
            a job that it needs.
        python: whether the farm's own Python runs inside the sandbox.
        trial: the program's arguments, without a scene, with which it succeeds inside the sandbox
            if it does outside.
        visible: what the program sees in its sandbox as well: paths, and variables that name some.
        colours: configurations for colours that some of its jobs need; None for none.
        drive: how the program is driven; None when a script of its own does so.
        objects: parameter of ours -> name -> documented parameter, of those that are handed over
            together, as one JSON object.
        prefixes: parameters with prefixes of file names.
        naming: the parameter that gives a job's files other names; "" when none does for sure.
        scene_module: of a driven program whose scenes must be looked at: where the module lies that
            does so, see `farm.products.load_scene_module`.
        image_name: (scene, parameters) -> how the scene's module will call the images, with ``#``
            for the frame number; None when the scene itself must be read for that.
        declared: names of all parameters, including those filled in by the runner.
    """

    name: str
    app: str
    operation: str
    description: str
    parameters: tuple[Parameter, ...]
    path: Path
    scripts: Path
    program: str
    scenes: tuple[str, ...]
    other: "Template | None"
    scene: SceneFormat | None
    frames: str
    outputs: OutputNames | None
    symptoms: Symptoms
    frame_timeout: Timeout
    silence_timeout: Timeout
    licences: bool
    needs_gpu: Mapping[str, tuple[JsonValue, ...]]
    plugins: Mapping[str, PlugIn]
    needs: Mapping[str, str]
    most: Mapping[str, tuple[str, Mapping[str, int]]]
    refuses: Mapping[str, str]
    ignores: Mapping[str, str]
    needs_plugin: Mapping[str, Mapping[str, str]]
    whole: bool
    single_range: bool
    sequence: bool
    python: bool
    trial: tuple[str, ...]
    visible: tuple[str, ...]
    colours: Colours | None
    drive: Drive | None
    prefixes: frozenset[str]
    objects: Mapping[str, Mapping[str, str]]
    naming: str
    scene_module: Path | None
    image_name: Callable[[Path, Mapping[str, JsonValue]], str] | None
    declared: frozenset[str]

    def validate(self, params: Mapping[str, JsonValue]) -> Validated:
        """Check a job's parameters, all of them, and fill in defaults.

        The frame list itself is not parsed here (`farm.jobs.frames` does): only that it is there.
        """
        values: dict[str, JsonValue] = {}
        errors: dict[str, list[str]] = {}
        for parameter in self.parameters:
            given = params.get(parameter.name)
            if given is None or (parameter.required and given == ""):
                if parameter.required:
                    errors[parameter.name] = [f"{parameter.name} is required."]
                values[parameter.name] = parameter.default
                continue
            try:
                values[parameter.name] = parameter.parse(given)
                if parameter.name in self.prefixes and values[parameter.name]:
                    check_prefix(str(values[parameter.name]))
                if self.whole and self.outputs and parameter.name == self.outputs.prefix:
                    check_file_name(parameter, str(values[parameter.name]))
            except ValueError as error:
                values[parameter.name] = parameter.default
                errors[parameter.name] = [str(error)]
        for name, other in self.needs.items():
            if name not in errors and other not in errors and values[name] and not values[other]:
                errors[name] = [f"{name} has no effect without {other}. Set that as well."]
        for name, (other, limits) in self.most.items():
            limit = limits.get(str(values[other]))
            number = values[name]
            if limit is not None and isinstance(number, int) and number > limit:
                errors[name] = [f"{number} is too large: the most with {values[other]} is {limit}."]
        warnings, unknown = [], []
        for name, value in params.items():
            if name in self.refuses:
                if value not in _EMPTY:
                    errors[name] = [f"{name} {self.refuses[name]}"]
            elif name in self.ignores:
                if value not in _EMPTY:
                    warnings.append(f"{name} {self.ignores[name]}")
            elif name not in values:
                values[name] = value
                unknown.append(name)
        warnings += [self._unknown(name) for name in unknown[:_MOST_HINTS]]
        if rest := unknown[_MOST_HINTS:]:
            shown = ", ".join(f"'{name[:60]}'" for name in rest[:_MOST_HINTS])
            others = f" and {len(rest) - _MOST_HINTS} others" * (len(rest) > _MOST_HINTS)
            warnings.append(
                f"{shown}{others} are not parameters of {self.app} {self.operation} and are"
                " ignored."
            )
        return Validated(values, errors, warnings)

    def _unknown(self, name: str) -> str:
        known = [parameter.name for parameter in self.parameters]
        close = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean '{close[0]}'?" if close else f" It knows {', '.join(known)}."
        return (
            f"'{name[:60]}' is not a parameter of {self.app} {self.operation} and is ignored.{hint}"
        )

    def output_files(
        self, values: Mapping[str, JsonValue], frames: Iterable[int]
    ) -> dict[int, list[str]]:
        """Return the files that each frame makes, relative to the output folder.

        None at all when only the scene knows them.

        Parameters:
            values: from a `validate` without errors.
        """
        if self.outputs is None:
            return {frame: [] for frame in frames}
        prefix = str(values[self.outputs.prefix])
        extension = self.extension(values)
        if self.whole:
            # The single file comes with the last frame.
            *rest, last = frames
            return {**{frame: [] for frame in rest}, last: [f"{prefix}.{extension}"]}
        return {frame: [f"{numbered(prefix, frame)}.{extension}"] for frame in frames}

    def foreseen(self, scene: str, values: Mapping[str, JsonValue]) -> FileNames | None:
        """Return how files will be called, before a scene is read; None when only it knows.

        Parameters:
            scene: remote path.
            values: from a `validate` without errors.

        Raises:
            UnsafePathError: no file can have such a name.
        """
        if self.image_name is not None:
            names = FileNames.of(self.image_name(Path(scene), values))
        elif self.outputs is None:
            return None
        elif self.whole:
            names = FileNames(f"{values[self.outputs.prefix]}.{self.extension(values)}", 0, "")
        else:
            names = FileNames.of(str(values[self.outputs.prefix]), f".{self.extension(values)}")
        canonical(names.name(-_LONGEST_NUMBER))
        return names

    def wants_gpu(self, values: Mapping[str, object]) -> bool:
        """Return whether a job with these parameters needs a machine that has a GPU."""
        return any(values[name] in wanted for name, wanted in self.needs_gpu.items())

    def colours_of(self, values: Mapping[str, object]) -> str:
        """Return the product whose colour configurations a job needs; "" for none."""
        if self.colours is None:
            return ""
        wanted = self.colours.when.items()
        return self.colours.of if all(values.get(name) in among for name, among in wanted) else ""

    def lacks_plugin(
        self, values: Mapping[str, object], plugins: Iterable[str]
    ) -> dict[str, list[str]]:
        """Return the values that need a plug-in that the job does not name, by parameter."""
        codes = {text.partition(":")[0] for text in plugins}
        return {
            name: [f"{name}='{values[name]}' needs the plug-in '{code}'. Add it to plugins."]
            for name, needed in self.needs_plugin.items()
            if (code := needed.get(str(values[name]))) is not None and code not in codes
        }

    def scene_refusal(self, path: str) -> str:
        """Return why a file cannot be a scene, by its name; "" when it may be one."""
        other = self.other.scenes if self.other else ()
        kinds = [f".{each}" for each in (*self.scenes, *other)]
        if not self.scenes or path.lower().endswith(tuple(kinds)):
            return ""
        return f"'{path}' is not a scene of {self.app}: it must be a {' or '.join(kinds)} file."

    def for_scene(self, path: str) -> "Template":
        """Return the template that renders a scene: this one, or the one for its kind of file."""
        other = self.other or self
        return self if other.scene_refusal(path) else other

    def frames_refusal(self, frames: Sequence[range]) -> str:
        """Return why a job cannot have these frames; "" when it can.

        Parameters:
            frames: ranges that share none.
        """
        count = sum(map(len, frames))
        if self.whole and count > MOST_WHOLE:
            return (
                f"{self.app} {self.operation} renders all frames of a job on one machine in"
                f" one go, and takes at most {MOST_WHOLE}, not {count}. Split them over"
                " several jobs."
            )
        if not self.single_range or count < 2:
            return ""
        lowest = min(min(run[0], run[-1]) for run in frames)
        highest = max(max(run[0], run[-1]) for run in frames)
        step, rest = divmod(highest - lowest, count - 1)
        if not rest and not any((run[0] - lowest) % step or run.step % step for run in frames):
            return ""  # This many different multiples of the step are all that there are.
        return (
            f"{self.app} {self.operation} computes its frames in order, so they must form a"
            " single range, such as '1 100' or '1 99 2'."
        )

    def needs_of(self, plugins: Iterable[str]) -> list[PlugIn]:
        """Return what a job's plug-ins need; ``plugins`` are ``<code>`` or ``<code>:<version>``."""
        return chosen(self.plugins, plugins)

    def extension(self, values: Mapping[str, JsonValue]) -> str:
        """Return the extension of a job's files; "" when only the scene knows."""
        if self.outputs is None:
            return ""
        return self.outputs.extensions[str(values[self.outputs.format])]
