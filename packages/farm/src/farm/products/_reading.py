"""From the two YAML files of an operation to its template."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from pydantic import JsonValue

from farm.products._checks import Checks, check_function
from farm.products._companion import Companion, ParametersWithReason, any_of
from farm.products._definitions import Definition, OpenJobTemplate
from farm.products._drive import drive_of
from farm.products._files import ProductError, checked, read_model, read_yaml
from farm.products._parameters import LONGEST_LIST, LONGEST_TEXT, Parameter, ParameterType, fold
from farm.products._plugins import PlugIn
from farm.products._template import OutputNames, Symptoms, Template, Timeout

COMPANION = ".farm.yaml"
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
    file = place / f"{operation}{COMPANION}"
    companion, path = _companion(place, operation, file)
    job = read_model(OpenJobTemplate, path)
    definitions = {each.name: each for each in job.parameter_definitions}
    parameters = tuple(
        _parameter(definition, companion)
        for name, definition in definitions.items()
        if name[0].islower()
    )
    Checks(file, companion, job, parameters).all()
    scenes = place / f"{companion.scene_module}.py" if companion.scene_module else None
    module = load_scene_module(scenes) if scenes else None
    other = companion.other_program
    _check_files(companion, file)
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


def _check_files(companion: Companion, file: Path) -> None:
    """Refuse names of operations that have no file beside this one."""
    named = {"other_program": companion.other_program, "operation": companion.operation}
    for field, name in named.items():
        if name and not file.with_name(f"{name}{COMPANION}").is_file():
            raise ProductError(
                f"{file}: {field}: There is no {name}{COMPANION} beside it. Add it, or name"
                " another operation."
            )


def _companion(place: Path, operation: str, file: Path) -> tuple[Companion, Path]:
    """Return what an operation's own file says, and where its OpenJD template is."""
    content = read_yaml(file)
    like = content.get("like")
    own = place / f"{operation}.yaml"
    if like is None:
        return checked(Companion, content, str(file)), own
    model = place / f"{like}{COMPANION}"
    if like == operation or not model.is_file():
        raise ProductError(
            f"{file}: like: There is no other {like}{COMPANION} beside it. Name an operation that"
            " has one."
        )
    taken = read_yaml(model)
    if "like" in taken:
        raise ProductError(
            f"{file}: like: '{like}' is itself like '{taken['like']}'. Name that one."
        )
    # The same program and parameters, done in another way.
    companion = checked(Companion, {**taken, **content}, str(file))
    return companion, own if own.is_file() else place / f"{like}.yaml"


def _output_names(companion: Companion) -> OutputNames | None:
    named = companion.outputs
    return OutputNames(named.prefix, named.format, named.extensions) if named else None


def _plugins(companion: Companion) -> dict[str, PlugIn]:
    return {
        code: PlugIn(needs.licences, needs.folders, needs.program)
        for code, needs in companion.sandbox.plugins.items()
    }


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
        raise ProductError(
            f"{path}, the module that reads scenes, does not exist. Add it, or correct"
            " 'scene_module'."
        )
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ProductError(
            f"{path} cannot be imported: {type(error).__name__}: {error}. Correct it."
        ) from error
    check_function(module, path, "read_scene", 3)
    if hasattr(module, "image_name"):
        check_function(module, path, "image_name", 2)
    return module


def _because(notes: ParametersWithReason | None) -> dict[str, str]:
    return dict.fromkeys(notes.names, notes.because) if notes else {}


def _symptoms(companion: Companion) -> Symptoms:
    failures = companion.failures
    return Symptoms(
        failed=any_of(failures.markers),
        hopeless={each.marker: each.message for each in failures.hopeless},
        no_licence=any_of(failures.no_licence.markers),
        no_licence_codes=frozenset(failures.no_licence.exit_codes),
        warnings={each.marker: each.message for each in companion.warnings},
    )


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
        shortest=definition.min_length or 0,
        longest=definition.max_length
        or (LONGEST_LIST if name == companion.frames else LONGEST_TEXT),
    )
