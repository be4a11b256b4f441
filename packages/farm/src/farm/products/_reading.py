"""From the two YAML files of an operation to its template."""

import importlib.util
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

from pydantic import JsonValue

from farm.products._companion import Companion, ParametersWithReason, placeholders
from farm.products._definitions import Definition, OpenJobTemplate
from farm.products._drive import RUN_FIELDS, RUNNER_FIELDS, WRITTEN_FIELDS, drive_of
from farm.products._files import ProductError, checked, read_model, read_yaml
from farm.products._parameters import LONGEST_LIST, LONGEST_TEXT, Parameter, ParameterType, fold
from farm.products._plugins import PlugIn
from farm.products._template import OutputNames, Symptoms, Template, Timeout

SHARED = Path(__file__).parent / "shared"
"""Scripts that several products use."""
_TYPES: dict[str, ParameterType] = {"STRING": "string", "PATH": "string"}
_TYPES |= {"INT": "int", "FLOAT": "float"}


def read_template(place: Path, operation: str, template: Callable[[str], Template]) -> Template:
    """Return the template of one operation.

    Parameters:
        place: folder of the product.
        operation: what its files are called after.
        template: returns another one, by its name.

    Raises:
        ProductError: a file says what cannot be.
    """
    file = place / f"{operation}.farm.yaml"
    companion, path = _companion(place, operation, file)
    job = read_model(OpenJobTemplate, path)
    definitions = {each.name: each for each in job.parameter_definitions}
    parameters = tuple(
        _parameter(definition, companion)
        for name, definition in definitions.items()
        if name[0].islower()
    )
    _check(companion, parameters, frozenset(definitions), file)
    scenes = place / f"{companion.scene_module}.py" if companion.scene_module else None
    module = load_scene_module(scenes) if scenes else None
    other = companion.other_program
    if other and not (place / f"{other}.farm.yaml").is_file():
        raise ProductError(f"{file}: other_program: there is no {other}.farm.yaml beside it.")
    scripts = place / "scripts"
    sandbox = companion.sandbox
    outputs = _output_names(companion)
    prefix = outputs.prefix if outputs else ""
    return Template(
        name=f"{place.name}_{operation}",
        app=place.name,
        operation=companion.operation or operation,
        description=companion.description or job.description,
        parameters=parameters,
        path=path,
        scripts=scripts if scripts.is_dir() else SHARED,
        program=companion.program,
        scenes=companion.scenes,
        other=template(f"{place.name}_{other}") if other else None,
        scene=companion.scene,
        frames=companion.frames,
        outputs=outputs,
        symptoms=_symptoms(companion),
        frame_timeout=Timeout(**dict(companion.timeouts.frame)),
        silence_timeout=Timeout(**dict(companion.timeouts.silence)),
        licences=sandbox.licences,
        needs_gpu=companion.needs_gpu,
        plugins=_plugins(companion),
        needs=companion.needs,
        most={name: (most.of, most.is_) for name, most in companion.most.items()},
        refuses=_because(companion.refuses),
        ignores=_because(companion.ignores),
        needs_plugin=companion.needs_plugin,
        whole=companion.whole,
        single_range=companion.single_range,
        sequence=companion.input == "sequence",
        python=companion.drive is not None if sandbox.python is None else sandbox.python,
        trial=sandbox.trial,
        visible=sandbox.visible,
        colours=companion.colours,
        drive=drive_of(companion.drive) if companion.drive else None,
        prefixes=frozenset([*([prefix] if outputs else []), *companion.prefixes]),
        objects=companion.objects,
        naming=prefix if companion.naming is None else companion.naming,
        scene_module=scenes,
        image_name=getattr(module, "image_name", None),
        declared=frozenset(definitions),
    )


def _companion(place: Path, operation: str, file: Path) -> tuple[Companion, Path]:
    """Return what an operation's own file says, and where its OpenJD template is."""
    content = read_yaml(file)
    like = content.get("like") or operation
    if like != operation:
        # The same program and parameters, done in another way.
        content = {**read_yaml(place / f"{like}.farm.yaml"), **content}
    own = place / f"{operation}.yaml"
    return checked(Companion, content, file), own if own.is_file() else place / f"{like}.yaml"


def _output_names(companion: Companion) -> OutputNames | None:
    named = companion.outputs
    return OutputNames(named.prefix, named.format, named.extensions) if named else None


def _plugins(companion: Companion) -> dict[str, PlugIn]:
    return {
        code: PlugIn(needs.licences, needs.folders, needs.program)
        for code, needs in companion.sandbox.plugins.items()
    }


def _check(
    companion: Companion, parameters: Iterable[Parameter], declared: frozenset[str], file: Path
) -> None:
    """Refuse what one file says of parameters, values and placeholders that the other has not."""
    documented = {each.name: each for each in parameters}
    # What is taken over from `like` may speak of parameters that mean nothing here.
    passed_over = {*_because(companion.ignores)} | (
        {*_because(companion.refuses)} if companion.like else set()
    )
    for field, names in companion.names().items():
        for name in names:
            if name not in documented and name not in passed_over:
                raise ProductError(f"{file}: {field}: there is no parameter '{name}'.")
    for name, words in companion.aliases.items():
        for word, value in words.items():
            if value not in documented[name].choices:
                raise ProductError(f"{file}: aliases.{name}.{word}: '{value}' is not a choice.")
    if companion.outputs is not None:
        choices = set(documented[companion.outputs.format].choices)
        if unknown := choices ^ set(companion.outputs.extensions):
            raise ProductError(
                f"{file}: outputs.extensions must have each choice of '{companion.outputs.format}'"
                f" once. Wrong: {', '.join(sorted(unknown))}."
            )
    for name in companion.objects:
        if name not in declared:
            raise ProductError(f"{file}: objects: the template declares no parameter '{name}'.")
    if companion.drive is not None:
        known = {*declared, *companion.scene_values, *RUNNER_FIELDS}
        for text in companion.drive.texts():
            _check_fields(file, "drive", text, known | RUN_FIELDS)
        for text in companion.drive.writes:
            _check_fields(file, "drive.writes", text, known | WRITTEN_FIELDS)


def _check_fields(file: Path, field: str, text: str, known: Iterable[str]) -> None:
    try:
        names = placeholders(text)
    except ValueError as error:
        raise ProductError(f"{file}: {field}: {error} ('{text}').") from None
    for name in names:
        if name not in known:
            raise ProductError(f"{file}: {field}: nothing fills in '{{{name}}}' of '{text}'.")


def load_scene_module(path: Path) -> ModuleType:
    """Return a product's module that knows its scenes.

    Its ``read_scene(scene, partial folder, parameters) -> SceneFiles`` may raise SceneError and
    OSError. How long it takes and how much memory is a scene's to choose: it is for a process of
    its own (`farm.runner.claim.scene_reader`).

    Raises:
        ProductError: it is not there, or has no such function.
    """
    name = f"farm_product_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ProductError(f"{path}, the module that reads scenes, does not exist.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "read_scene"):
        raise ProductError(f"{path} must have a function read_scene.")
    return module


def _because(notes: ParametersWithReason | None) -> dict[str, str]:
    return dict.fromkeys(notes.names, notes.because) if notes else {}


def _symptoms(companion: Companion) -> Symptoms:
    failures = companion.failures
    return Symptoms(
        failed=_any_of(failures.markers),
        hopeless={each.marker: each.message for each in failures.hopeless},
        no_licence=_any_of(failures.no_licence.markers),
        no_licence_codes=frozenset(failures.no_licence.exit_codes),
        warnings={each.marker: each.message for each in companion.warnings},
    )


def _any_of(patterns: Iterable[re.Pattern[str]]) -> re.Pattern[str]:
    """Return one expression for all; without any, one that is never found."""
    return re.compile("|".join(f"(?:{each.pattern})" for each in patterns) or r"(?!)")


def _parameter(definition: Definition, companion: Companion) -> Parameter:
    name = definition.name
    kind = companion.types.get(name, _TYPES[definition.type])
    choices = tuple(definition.allowed_values)
    default: JsonValue = definition.default
    if definition.user_interface.control == "CHECK_BOX":
        # jobtemplate-2023-09 has no BOOL: a check box of the texts "true" and "false" stands in.
        kind, choices, default = "bool", (), None if default is None else default == "true"
    words = companion.patterns.get(name)
    if kind in ("list", "object"):
        # OpenJD has neither: they travel as JSON texts.
        default = [] if kind == "list" else {}
    return Parameter(
        name=name,
        type=kind,
        required=definition.is_required,
        default=default,
        choices=choices,
        description=" ".join(definition.description.split()),
        aliases={fold(word): to for word, to in companion.aliases.get(name, {}).items()},
        refused={fold(word): why for word, why in companion.refused.get(name, {}).items()},
        minimum=definition.min_value,
        least=companion.least.get(name),
        maximum=definition.max_value,
        pattern=words.pattern.pattern if words else "",
        message=words.message if words else "",
        longest=LONGEST_LIST if name == companion.frames else LONGEST_TEXT,
    )
