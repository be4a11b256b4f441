"""What a scene animates of its own settings, which would undo what a job decides.

An F-curve or a driver sets its property anew whenever a frame is set, so what a script has set
before lasts until then, and what a renderer sees of the scene follows the curve in any case.
"""

import re
from collections.abc import Iterator
from typing import Any

_KEY = re.compile(r'\[(?:"(?:\\.|[^"\\])*"|\d+)\]')
"""Says which one of several, by its name or number."""


def hold(scene: Any, *paths: str) -> None:
    """Have settings stay as they are, whatever animates them.

    Parameters:
        paths: data paths, in which ``[]`` stands for each of several.
    """
    for curve in _curves(scene, paths):
        curve.mute = True


def changes(block: Any, *paths: str) -> bool:
    """Return whether one of these settings of a data-block is animated. The paths are `hold`'s."""
    return any(not curve.mute for curve in _curves(block, paths))


def _curves(block: Any, paths: "tuple[str, ...]") -> "Iterator[Any]":
    # A collection has no animation of its own before Blender 4.
    animation = getattr(block, "animation_data", None)
    if animation is None:
        return
    found = [*animation.drivers, *_of_action(animation)]
    for track in animation.nla_tracks:
        for strip in track.strips:
            found += _of_strip(strip)
    yield from (curve for curve in found if _KEY.sub("[]", curve.data_path) in paths)


def _of_strip(strip: Any) -> "Iterator[Any]":
    yield from _of_action(strip)
    for each in getattr(strip, "strips", ()):  # of a meta strip
        yield from _of_strip(each)


def _of_action(user: Any) -> "Iterator[Any]":
    """Yield the curves of the action that something uses."""
    action = user.action
    if action is None:
        return
    if hasattr(action, "fcurves"):  # until Blender 4.5
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(user.action_slot) if user.action_slot else None
            yield from bag.fcurves if bag else ()
