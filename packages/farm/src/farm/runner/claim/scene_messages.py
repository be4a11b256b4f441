"""What a runner and the process that reads its scene say to each other, in JSON.

An answer is one line. Behind it comes the text of a copy, as it is.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from farm.products import SceneFiles


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(_Message):
    """What does this scene say of its files?

    Attributes:
        module: of the product, see `farm.products.load_scene_module`.
        partial: folder below which the program is to write.
        values: all parameters, as texts.
        memory: bytes that reading may take.
        seconds: of processor time that it may take.
        user, group: whom root is to become for it.
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
    """What it says, but for the text of a copy."""

    found: SceneFiles


class Wrong(_Message):
    """The scene cannot be rendered as asked: a message for people."""

    wrong: str


class Unreadable(_Message):
    """An `OSError` came of it: its number, and its text."""

    error: tuple[int | None, str]


ANSWERS: TypeAdapter[Found | Wrong | Unreadable] = TypeAdapter(Found | Wrong | Unreadable)
"""Reads an answer. Raises `pydantic.ValidationError`."""
