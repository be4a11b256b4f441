"""What the farm and the process that reads its .blend files say to each other, in JSON.

Behind the line of a question stand the paths of the project, if there are any: with NUL between
them, since they may be a million.

Dataclasses, so that the process that reads need not import what checks its answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from farm.scenes.missing import MissingAsset
from farm.scenes.usages import Usage


@dataclass(frozen=True, slots=True)
class Blend:
    """Where a .blend is.

    Attributes:
        path: on this disk.
        held: number of a descriptor that is open already: what belongs to the farm alone cannot be
            opened by who that process is. None where descriptors cannot be handed on.
    """

    path: str
    held: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """Which files do this scene and the libraries that it links name?

    Attributes:
        scene: remote path of a .blend.
        blends: the .blend files of its project, the scene included, by remote path.
        rules: of the scene's map, by which libraries are found: pairs of an absolute path of the
            artist's machine and a remote one.
        paths: remote paths of all files of the project: which of the files that are named does it
            not have? None: only those that are named are to be told.
    """

    scene: str
    blends: dict[str, Blend]
    rules: Sequence[tuple[str, str]] = ()
    paths: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """These files, each once for each .blend."""

    usages: Sequence[Usage]


@dataclass(frozen=True, slots=True)
class Lacking:
    """The project does not have these."""

    missing: Sequence[MissingAsset]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A .blend cannot be read.

    Attributes:
        path: its remote path.
        reason: what is the matter, for people.
    """

    path: str
    reason: str
