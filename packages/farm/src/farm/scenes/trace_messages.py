"""What the farm and the process that reads its .blend files say to each other, in JSON.

A question is a line. Behind it come the remote paths of the project's files, if it `has_paths`,
each ended by a NUL: there may be a million.

Dataclasses, so that the process that reads need not import what checks its answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from farm.scenes.usages import Usage


@dataclass(frozen=True, slots=True)
class File:
    """Where a file is.

    Attributes:
        path: on this disk.
        held: number of a descriptor that is open already: what belongs to the farm alone cannot be
            opened by who that process is. None where descriptors cannot be handed on.
    """

    path: str
    held: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """Which files do this scene and the libraries that it links name, or lack?

    Attributes:
        scene: remote path of a .blend.
        blends: the .blend files of its project, the scene included, by remote path.
        map: the scene's map, by which files of the artist's machine are found; None: it has none.
        has_paths: the project's paths follow. The answer is `farm.scenes.lacks.Lacks`, and else
            `Named`.
        room: bytes that any .blend may be expanded to, at most.
    """

    scene: str
    blends: dict[str, File]
    map: File | None = None
    has_paths: bool = False
    room: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    """These files are named, each once for each .blend."""

    usages: Sequence[Usage]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A .blend cannot be read.

    Attributes:
        path: its remote path.
        reason: what is the matter, for people.
        lacks_room: there was too little room to expand it.
    """

    path: str
    reason: str
    lacks_room: bool = False
