"""A file that a scene names, as its reader reports it, whatever the format."""

from dataclasses import dataclass
from enum import StrEnum


class AssetKind(StrEnum):
    """The kind of reference. A cache may never have been baked: then the file never existed."""

    IMAGE = "image"
    LIBRARY = "library"
    FONT = "font"
    SOUND = "sound"
    MOVIE_CLIP = "movie clip"
    STRIP = "strip"
    VOLUME = "volume"
    LIGHT_PROFILE = "light profile"
    CACHE = "cache"
    IMPORTED = "imported file"


@dataclass(frozen=True)
class Usage:
    """A file that a .blend names.

    Attributes:
        path: as the .blend writes it.
        used_by: remote path of that .blend.
        kind: the kind of reference.
        data_block: name of the data-block in the .blend.
        is_sequence: ``path`` stands for several files: its first, a pattern, or their folder.
        is_needed: the pixels of the .blend's own scene certainly need it.
    """

    path: str
    used_by: str
    kind: AssetKind
    data_block: str
    is_sequence: bool
    is_needed: bool = False
