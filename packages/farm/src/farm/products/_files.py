"""Reads a product's YAML files: errors name the file, the field and what to write."""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from farm.products._faults import faults

_Model = TypeVar("_Model", bound=BaseModel)


class ProductError(ValueError):
    """A product's files cannot be used. ``str()`` is a message that names the file."""


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML's own loader silently lets the last of several equal keys win. In C where there is one:
    that takes a tenth of the time.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # Refused below, since it is not a valid key.
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"The key '{key}' appears twice in the same mapping."
                    " Remove one of them.",
                    problem_mark=key_node.start_mark,
                )
            seen.add(key)
        content: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return content


def load_yaml(text: str) -> Any:
    """Return what YAML says. Raises yaml.YAMLError, also where a key appears twice."""
    return yaml.load(text, _StrictLoader)  # noqa: S506 - it derives from the safe one


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a file.

    Raises:
        ProductError: it cannot be read, is not YAML, or is not a mapping.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProductError(
            f"{path} cannot be read: {error.strerror or error}. Add the file, or correct its"
            " permissions."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProductError(f"{path} is not YAML: {error}. Correct the file.") from error
    if not isinstance(content, dict):
        raise ProductError(
            f"{path} must hold a mapping. Write a field on each line: 'name: value'."
        )
    return content


def read_model(model: type[_Model], path: Path) -> _Model:
    """Return what a file says, as a model. Raises ProductError."""
    return checked(model, read_yaml(path), str(path))


def checked(model: type[_Model], content: Any, what: str) -> _Model:
    """Return content as a model.

    Parameters:
        what: names the file that it comes from, for messages.

    Raises:
        ProductError: a field is unknown, missing, or has an invalid value.
    """
    if fault := _not_json(content):
        raise ProductError(f"{what}: {fault}")
    try:
        # As JSON, since pydantic's strict mode would want tuples and patterns from Python.
        return model.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise ProductError(f"{what}: {faults(error, content, model)}") from error


def _not_json(content: Any, field: str = "") -> str:
    """Return what YAML takes for another thing than text, a number or a truth; "" for nothing."""
    if isinstance(content, list):
        items: list[tuple[object, Any]] = list(enumerate(content))
    elif isinstance(content, dict):
        for key in content:
            if not isinstance(key, str):
                where = f" in '{field}'" if field else ""
                return f"The key '{key}'{where} is not text. Write it in quotes."
        items = list(content.items())
    elif content is None or isinstance(content, str | bool | int | float):
        return ""
    else:
        return f"'{field}' is a {type(content).__name__} for YAML. Write it in quotes."
    found = (_not_json(value, f"{field}.{key}".lstrip(".")) for key, value in items)
    return next(filter(None, found), "")
