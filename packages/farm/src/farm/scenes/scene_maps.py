"""The maps of scenes, as they lie among a project's files."""

from collections.abc import Sequence
from pathlib import Path

from farm_protocol.path_maps import MOST_BYTES, PathMap
from pydantic import ValidationError

Rules = Sequence[tuple[str, str]]
"""Pairs of an absolute path of the artist's machine and a remote one."""


def rules_in(file: Path | None) -> Rules:
    """Return the rules of a map; of none, and of one that is damaged, none.

    Raises OSError.
    """
    if file is None:
        return []
    with file.open("rb") as opened:
        told = opened.read(MOST_BYTES + 1)
    try:
        found = PathMap.model_validate_json(told) if len(told) <= MOST_BYTES else PathMap()
    except ValidationError:
        return []
    return [(each.source_path, each.destination_path) for each in found.rules]
