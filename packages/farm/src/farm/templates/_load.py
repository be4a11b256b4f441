"""Loading templates: a pair of YAML files each."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import JsonValue

from farm.templates import _husk, _nuke, _vray
from farm.templates._drive import load_drive
from farm.templates._parameters import LONGEST_LIST, LONGEST_TEXT, Parameter, ParameterType, fold
from farm.templates._plugins import load_plugins
from farm.templates._template import (
    OutputNames,
    SceneFormat,
    Symptoms,
    Template,
    TemplateError,
    Timeout,
)

FOLDER = Path(__file__).parent
SHARED = FOLDER / "_shared"
"""Scripts that several templates use."""
_NAME = re.compile(r"[a-z0-9_]+\Z")
_TYPES: dict[str, ParameterType] = {"STRING": "string", "PATH": "string"}
_TYPES |= {"INT": "int", "FLOAT": "float"}
_INPUTS = {"scene": False, "sequence": True}
_SCENES = {"husk": _husk.read_scene, "nuke": _nuke.read_scene, "vray": _vray.read_scene}
"""Modules for scenes that alone know the names of their files, or what parameters mean there."""
_IMAGES = {"husk": _husk.image_name}
"""Those of which the parameters say how the files are called."""


def available() -> list[tuple[str, str]]:
    """Return (app, operation) of every template, sorted."""
    names = sorted(file.name.removesuffix(".farm.yaml") for file in FOLDER.glob("*.farm.yaml"))
    return [cast("tuple[str, str]", tuple(name.rsplit("_", 1))) for name in names]


def load(app: str, operation: str) -> Template | None:
    """Return the template of a product's operation; None when there is none."""
    if (app, operation) not in available():
        return None
    return load_named(f"{app}_{operation}")


@cache
def load_named(name: str) -> Template:
    """Return the template called ``<app>_<operation>``.

    Raises:
        TemplateError: there is none, or it is malformed.
    """
    if not _NAME.match(name) or not (FOLDER / f"{name}.farm.yaml").is_file():
        raise TemplateError(f"There is no template called '{name}'.")
    notes = _read(f"{name}.farm.yaml")
    like = notes.get("like", name)
    if like != name:
        # The same program and parameters, done in another way.
        notes = {**_read(f"{like}.farm.yaml"), **notes}
    own = FOLDER / f"{name}.yaml"
    path = own if own.is_file() else FOLDER / f"{like}.yaml"
    job = _read(path.name)
    app, operation = name.rsplit("_", 1)
    try:
        return Template(
            name=name,
            app=app,
            operation=notes.get("operation", operation),
            description=notes.get("description", job["description"]),
            parameters=tuple(
                _parameter(definition, notes)
                for definition in job["parameterDefinitions"]
                if definition["name"][0].islower()
            ),
            path=path,
            renderer=notes["renderer"],
            scripts=FOLDER / notes["scripts"],
            program=notes.get("program", ""),
            scenes=tuple(notes.get("scenes", ())),
            other=load_named(notes["other_program"]) if notes.get("other_program") else None,
            scene=SceneFormat(notes["scene"]) if "scene" in notes else None,
            frames=notes["frames"],
            outputs=OutputNames(**notes["outputs"]) if "outputs" in notes else None,
            symptoms=Symptoms(
                failed=_any_of(notes["failures"]["markers"]),
                hopeless={
                    re.compile(each["marker"]): " ".join(each["sentence"].split())
                    for each in notes["failures"].get("hopeless", ())
                },
                no_licence=_any_of(notes["failures"]["no_licence"]["markers"]),
                no_licence_codes=frozenset(notes["failures"]["no_licence"]["exit_codes"]),
            ),
            frame_timeout=Timeout(**notes["timeouts"]["frame"]),
            silence_timeout=Timeout(**notes["timeouts"]["silence"]),
            licences=notes["sandbox"]["licences"],
            needs_gpu=_values(notes.get("needs_gpu", {})),
            plugins=load_plugins(notes["sandbox"].get("plugins", {})),
            needs=notes.get("needs", {}),
            most={name: (of["of"], of["is"]) for name, of in notes.get("most", {}).items()},
            refuses=_because(notes.get("refuses")),
            ignores=_because(notes.get("ignores")),
            needs_plugin=notes.get("needs_plugin", {}),
            whole=notes.get("whole", False),
            single_range=notes.get("single_range", False),
            sequence=_INPUTS[notes.get("input", "scene")],
            python=notes["sandbox"].get("python", "drive" in notes),
            trial=tuple(notes["sandbox"].get("trial", ["--version"])),
            visible=tuple(notes["sandbox"].get("visible", ())),
            drive=load_drive(notes["drive"]) if "drive" in notes else None,
            prefixes=_prefixes(notes),
            objects=notes.get("objects", {}),
            naming=notes.get("naming", notes["outputs"]["prefix"] if "outputs" in notes else ""),
            read_scene=_SCENES[notes["scene_module"]] if "scene_module" in notes else None,
            image_name=_IMAGES.get(notes.get("scene_module", "")),
            declared=frozenset(each["name"] for each in job["parameterDefinitions"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TemplateError(f"The template '{name}' is malformed: {error!r}") from error


def _because(notes: Mapping[str, Any] | None) -> dict[str, str]:
    return dict.fromkeys(notes["names"], " ".join(notes["because"].split())) if notes else {}


def _values(notes: Mapping[str, list[JsonValue]]) -> dict[str, tuple[JsonValue, ...]]:
    return {name: tuple(values) for name, values in notes.items()}


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return content


def _prefixes(notes: Mapping[str, Any]) -> frozenset[str]:
    main = [notes["outputs"]["prefix"]] if "outputs" in notes else []
    return frozenset([*main, *notes.get("prefixes", ())])


def _any_of(patterns: list[str]) -> re.Pattern[str]:
    """Return one expression for all; without any, one that is never found."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or r"(?!)")


def _parameter(definition: dict[str, Any], notes: dict[str, Any]) -> Parameter:
    name = definition["name"]
    kind = _TYPES[definition["type"]]
    kind = notes.get("types", {}).get(name, kind)
    choices = tuple(definition.get("allowedValues", ()))
    default = definition.get("default")
    if definition.get("userInterface", {}).get("control") == "CHECK_BOX":
        # jobtemplate-2023-09 has no BOOL: a check box of the texts "true" and "false" stands in.
        kind, choices, default = "bool", (), {"true": True, "false": False, None: None}[default]
    words = notes.get("patterns", {}).get(name, {})
    if kind in ("list", "object"):
        # OpenJD has neither: they travel as JSON texts.
        default = [] if kind == "list" else {}
    return Parameter(
        name=name,
        type=kind,
        required="default" not in definition,
        default=default,
        choices=choices,
        description=" ".join(definition.get("description", "").split()),
        aliases={fold(word): to for word, to in notes.get("aliases", {}).get(name, {}).items()},
        refused={
            fold(word): " ".join(why.split())
            for word, why in notes.get("refused", {}).get(name, {}).items()
        },
        minimum=definition.get("minValue"),
        least=notes.get("least", {}).get(name),
        maximum=definition.get("maxValue"),
        pattern=words.get("pattern", ""),
        sentence=" ".join(words.get("sentence", "").split()),
        longest=LONGEST_LIST if name == notes["frames"] else LONGEST_TEXT,
    )
