"""Reading a product's YAML files: what is wrong names the file, the field and what to write."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)


class ProductError(ValueError):
    """A product's files cannot be used. ``str()`` is a message that names the file."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a file.

    Raises:
        ProductError: it cannot be read, is not YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
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
    """Return some content as a model.

    Parameters:
        path: the file that it comes from.

    Raises:
        ProductError: a field is unknown, missing, or has a value that cannot be.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}"
            for fault in error.errors()[:3]
        )
        raise ProductError(f"{path}: {faults}.") from error
