"""Where on the farm the files lie that a scene names by paths of its artist's machine.

A map is a file of the project, beside the files gathered from outside its folder, so like them it
is part of each submission's snapshot. It is JSON::

    {"rules": [{"source_path_format": "POSIX", "source_path": "/home/ann/textures",
                "destination_path": "film/_gathered/0c2e41a9b3d7f856"}, ...]}

The words are Open Job Description's for path mapping. Files below a source lie below its
destination, a remote path; the longest source wins. Rules for the .blend files themselves tell
where the artist had them, so that ``//`` paths that lead elsewhere can be followed.
`farm.products.shared.farm_paths` applies them.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from farm_protocol.hashing import new_hasher
from farm_protocol.models import Answer, FirstFault
from farm_protocol.paths import canonical, project_of

GATHERED = "_gathered"
"""A project's folder for files gathered from outside, and for the maps of its scenes."""
MOST_RULES = 100_000
MOST_BYTES = 32 * 1024 * 1024
"""Limit on a map."""

PathFormat = Literal["POSIX", "WINDOWS"]


class PathRule(Answer):
    """Files at or below ``source_path`` lie at or below ``destination_path``."""

    source_path_format: PathFormat
    source_path: Annotated[str, Field(min_length=1)]
    destination_path: Annotated[str, AfterValidator(canonical)]


class PathMap(Answer):
    """The map of one scene."""

    rules: Annotated[list[PathRule], FirstFault] = Field(default=[], max_length=MOST_RULES)


def path_map_of(scene: str) -> str:
    """Return the remote path of a scene's map.

    Parameters:
        scene: remote path of the scene.
    """
    return f"{project_of(scene)}/{GATHERED}/{short_hash(canonical(scene))}.json"


def is_map(path: str) -> bool:
    """Return whether a remote path may be that of a scene's map."""
    names = path.split("/")
    return len(names) == 3 and names[1] == GATHERED and path.endswith(".json")


def gathered_folder(project: str, folder: str) -> str:
    """Return the remote folder for what was gathered from a folder outside the project."""
    return f"{project}/{GATHERED}/{short_hash(folder)}"


def short_hash(text: str) -> str:
    """Return 16 hex digits that distinguish a text from others."""
    hasher = new_hasher()
    hasher.update(text.encode("utf-8", "surrogatepass"))
    return hasher.hexdigest()[:16]
