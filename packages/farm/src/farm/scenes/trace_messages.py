"""Messages between the farm and the process that reads its .blend files, in JSON.

A question is a line. If it `has_paths`, the remote paths of the project's files follow, each ended
by a NUL: there may be a million.

Dataclasses, so that the reading process need not import the validation of its answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from farm.scenes.usages import Usage


@dataclass(frozen=True, slots=True)
class File:
    """Location of a file.

    Attributes:
        path: on this disk.
        held: number of an open descriptor: that process's account cannot open files that belong to
            the farm alone. None where descriptors cannot be passed.
    """

    path: str
    held: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """Asks which files this scene and its linked libraries name, or lack.

    Attributes:
        scene: remote path of a .blend.
        blends: the .blend files of its project, including the scene, by remote path.
        map: the scene's map, by which files of the artist's machine are found; None: it has none.
        has_paths: the project's paths follow, and the answer is `farm.scenes.lacks.Lacks`;
            otherwise `Named`.
        room: most bytes that any .blend may expand to.
    """

    scene: str
    blends: dict[str, File]
    map: File | None = None
    has_paths: bool = False
    room: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    """The named files, each once per .blend."""

    usages: Sequence[Usage]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A .blend cannot be read.

    Attributes:
        path: its remote path.
        reason: what is wrong, for people.
        lacks_room: there was too little room to expand it.
    """

    path: str
    reason: str
    lacks_room: bool = False
