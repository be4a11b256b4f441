"""Messages between a runner and the process that reads its scene, in JSON.

An answer is one line, followed by the unchanged text of a copy.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from farm.products import SceneFiles


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(_Message):
    """Asks what a scene says about its files.

    Attributes:
        module: the product's module, see `farm.products.load_scene_module`.
        partial: folder below which the program writes.
        values: all parameters, as texts.
        memory: bytes that reading may use.
        seconds: processor time that it may use.
        user, group: the account that root switches to for it.
    """

    module: Path
    scene: Path
    partial: Path
    values: dict[str, str]
    memory: int
    seconds: int
    user: int
    group: int


class Found(_Message):
    """The scene's answer, without the text of a copy."""

    found: SceneFiles


class Wrong(_Message):
    """The scene cannot be rendered as asked: a message for people."""

    wrong: str


class Unreadable(_Message):
    """Reading raised an `OSError`: its number and its text."""

    error: tuple[int | None, str]


ANSWERS: TypeAdapter[Found | Wrong | Unreadable] = TypeAdapter(Found | Wrong | Unreadable)
"""Parses an answer. Raises `pydantic.ValidationError`."""
