"""Objections to rendering a scene that its own file raises, before anything is rendered."""

import re
from collections.abc import Callable, Sequence
from typing import BinaryIO

from farm.errors import FarmError
from farm.products import SceneFormat
from farm.scenes.blend_header import BlendVersion, saved_by

_SERIES = re.compile(r"(\d+)\.(\d+)")


def saved_too_new(
    scene: str,
    opened: Callable[[], BinaryIO],
    scene_format: SceneFormat | None,
    chosen: str,
    there: Sequence[str],
) -> str | None:
    """Return why the chosen version of a product should not open a scene; None when it may.

    A file that cannot be read, or whose header says nothing, is left to the renderer: its own
    error is clear.

    Parameters:
        scene: remote path, for people.
        opened: opens the scene's bytes.
        chosen: version for the job.
        there: all versions of the product that this farm has.
    """
    if scene_format is not SceneFormat.BLEND:
        return None
    try:
        with opened() as file:
            saved = saved_by(file)
    except (OSError, FarmError):
        return None
    opens = _series(chosen)
    if saved is None or opens is None or saved <= opens:
        return None
    newer = [version for version in there if (_series(version) or opens) >= saved]
    choice = f"Choose {' or '.join(newer)}, which this farm has, or save" if newer else "Save"
    return (
        f"'{scene}' was saved by Blender {saved}. Blender {chosen} is older and would"
        f" lose the data of newer features, or fail to open the scene. {choice} the scene with"
        f" Blender {opens} or an earlier version."
    )


def _series(version: str) -> BlendVersion | None:
    # The releases of a series (4.5.1, 4.5.15) share one file format.
    found = _SERIES.match(version)
    return BlendVersion(int(found[1]), int(found[2])) if found else None
