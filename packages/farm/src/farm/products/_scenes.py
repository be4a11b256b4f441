"""Scenes: the formats that the farm reads, and what a product's own module says of one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from farm.products.shared.farm_numbering import numbered


class SceneFormat(StrEnum):
    """Scene formats that the farm itself can partly read."""

    BLEND = "blend"


class SceneError(Exception):
    """A scene cannot be rendered as asked. ``str()`` is a message for people."""


@dataclass(frozen=True)
class SceneFiles:
    """What a scene says about its files: the result of ``read_scene`` in a product's module.

    Attributes:
        scene: the scene to render.
        values: parameters for the program that replace the job's.
        patterns: (name below the partial folder, name below the output folder) of each file of a
            frame, with ``####`` in place of its number; None when the template names them.
        environment: variables for the program that the job sets.
        warnings: messages for the job's log.
        copied: parameter whose file is replaced by a copy: ``SceneFile``, or one with the path of a
            project's file. The copy lies beside the file, so that relative paths stay valid. "" for
            none.
        text: of the copy. The module writes nothing itself.
    """

    scene: Path
    values: Mapping[str, str]
    patterns: tuple[tuple[str, str], ...] | None
    environment: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    copied: str = ""
    text: str = ""

    def files(self, frame: int) -> list[tuple[list[str], str]] | None:
        """Return the names of a frame's files: those that the program may give, and the wanted.

        None when the template names them.
        """
        if self.patterns is None:
            return None
        return [
            (
                [numbered(written, frame, signed_digits=signed) for signed in (True, False)],
                numbered(name, frame),
            )
            for written, name in self.patterns
        ]
