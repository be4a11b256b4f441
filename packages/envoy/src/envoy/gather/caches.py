"""Recognises the files of a cache by their names.

Physics of all kinds name the folder where Blender keeps their frames, and a stranger's scene may
name any folder, such as the artist's home. So only files count that Blender itself writes, under
its own names, in that folder and in the subfolders of fluids.
"""

import os
import re
from collections.abc import Callable, Iterable

_POINTS = re.compile(r".+_-?\d{4,}(?:_\d+)?\.(?:bphys|vdb)")
"""Particles, cloth, soft bodies, dynamic paint; smoke before 2.82."""
_OCEAN = re.compile(r"(?:disp|foam|normal|spray|spray_inverse)_-?\d{4,}\.exr")
_OLD_FLUID = re.compile(r"fluidsurface_\w+_-?\d{4,}\.(?:bobj\.gz|bvel\.gz|gz)")
"""Before Blender 2.82."""
_FLUID_PARTS = ("config", "data", "guiding", "mesh", "noise", "particles")
_OF_A_PART = re.compile(r"\w+_-?\d{3,}\.(?:vdb|uni|bobj\.gz|obj)")


def is_frame(name: str) -> bool:
    """Return whether a file is a frame of a cache, given its name in the cache's folder."""
    return bool(_POINTS.fullmatch(name) or _OCEAN.fullmatch(name) or _OLD_FLUID.fullmatch(name))


def frames_in(folder: str, names_in: Callable[[str], Iterable[str]]) -> list[str]:
    """Return the paths of a cache's files below its folder, with slashes; no links are followed.

    Parameters:
        names_in: returns the names in a folder.
    """
    found = [name for name in names_in(folder) if is_frame(name)]
    for part in _FLUID_PARTS:
        inner = os.path.join(folder, part)
        if os.path.isdir(inner) and not os.path.islink(inner):
            found += [f"{part}/{name}" for name in names_in(inner) if _OF_A_PART.fullmatch(name)]
    return found
