"""A file that a scene names: what the reader of scenes tells, whatever the format."""

from dataclasses import dataclass
from enum import StrEnum


class AssetKind(StrEnum):
    """What names a file. A cache may never have been baked: then nothing was ever to be there."""

    IMAGE = "image"
    LIBRARY = "library"
    FONT = "font"
    SOUND = "sound"
    MOVIE_CLIP = "movie clip"
    STRIP = "strip"
    VOLUME = "volume"
    LIGHT_PROFILE = "light profile"
    CACHE = "cache"


@dataclass(frozen=True)
class Usage:
    """A file that a .blend names.

    Attributes:
        path: as the .blend says it.
        used_by: remote path of that .blend.
        kind: what names it.
        data_block: name of the data-block in the .blend.
        is_sequence: ``path`` stands for several files: its first, a pattern, or their folder.
        is_needed: the pixels of the .blend's own scene need it for certain.
    """

    path: str
    used_by: str
    kind: AssetKind
    data_block: str
    is_sequence: bool
    is_needed: bool = False
