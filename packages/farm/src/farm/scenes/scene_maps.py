"""The maps of scenes, as files of a project: for programs that read scenes.

A map is untrusted like its scene, so no other program reads it. Its format is that of
`farm_protocol.path_maps`, but it is read without its models, as in a renderer: a rule that leads
elsewhere finds no file.
"""

import json
from collections.abc import Sequence
from typing import IO

Rules = Sequence[tuple[str, str]]
"""Pairs of an absolute path of the artist's machine and a remote path."""

MOST_RULES = 100_000
MOST_BYTES = 32 * 1024 * 1024


def rules_in(file: IO[bytes]) -> Rules:
    """Return the rules of a map; none if it is damaged. Raises OSError, MemoryError."""
    content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        return []
    try:
        rules = json.loads(content)["rules"]
        found = [
            (each["source_path"], each["destination_path"].removeprefix("/")) for each in rules
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    if len(found) > MOST_RULES or not all(isinstance(source, str) for source, _ in found):
        return []
    return found
