"""Reads a product's YAML files: errors name the file, the field and what to write."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)


class ProductError(ValueError):
    """A product's files cannot be used. ``str()`` is a message that names the file."""


class _StrictLoader(yaml.SafeLoader):
    """YAML's own loader silently lets the last of several equal keys win."""

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
        return super().construct_mapping(node, deep)


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
        raise ProductError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProductError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ProductError(f"{path} must hold a mapping, with a field on each line.")
    return content


def read_model(model: type[_Model], path: Path) -> _Model:
    """Return what a file says, as a model. Raises ProductError."""
    return checked(model, read_yaml(path), path)


def checked(model: type[_Model], content: dict[str, Any], path: Path) -> _Model:
    """Return content as a model.

    Parameters:
        path: the file that it comes from.

    Raises:
        ProductError: a field is unknown, missing, or has an invalid value.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}"
            for fault in error.errors()[:3]
        )
        raise ProductError(f"{path}: {faults}.") from error
