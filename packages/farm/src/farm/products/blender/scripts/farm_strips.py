"""Which strips of a scene's sequencer make the picture, and whether they make all of it."""

from collections.abc import Collection, Iterator
from typing import Any

import farm_animation

_MUTE = ("sequence_editor.sequences_all[].mute", "sequence_editor.strips_all[].mute")


def strips(editor: Any) -> Any:
    """Return a sequencer's strips, also those in meta strips. Blender 4.4 renamed them."""
    return getattr(editor, "strips_all", None) or getattr(editor, "sequences_all", ())


def covers(scene: Any) -> bool:
    """Return whether the sequencer certainly makes the picture of a scene: no layer is rendered.

    A strip may show a scene all the same, also this one.
    """
    switched = farm_animation.changes(scene, "render.use_sequencer", *_MUTE)
    if switched or not scene.render.use_sequencer or scene.sequence_editor is None:
        return False
    channels = getattr(scene.sequence_editor, "channels", ())
    off = {number for number, channel in enumerate(channels) if channel.mute}
    return any(
        not strip.mute and strip.type != "SOUND" and strip.channel not in off
        for strip in _outermost(scene.sequence_editor)
    )


def sequenced(scene: Any) -> "list[Any]":
    """Return the scenes whose sequencers make the picture of a scene, itself first if it does."""
    found = []  # type: list[Any]
    left = [scene] if _is_on(scene) else []
    while left:
        each = left.pop()
        if each not in found:
            found.append(each)
            left += [strip.scene for strip in shown(each) if has_strips_of_scene(strip)]
    return found


def shown(scene: Any) -> "Iterator[Any]":
    """Yield the strips of a scene that are not muted, or are at some frame."""
    animated = farm_animation.changes(scene, *_MUTE)
    for strip in strips(scene.sequence_editor):
        if animated or not strip.mute:
            yield strip


def has_strips_of_scene(strip: Any) -> bool:
    """Return whether a strip shows the sequencer of another scene, not what it renders."""
    return bool(
        strip.type == "SCENE"
        and strip.scene is not None
        and strip.scene_input == "SEQUENCER"
        and strip.scene.sequence_editor is not None
        and any(strips(strip.scene.sequence_editor))
    )


def at(scene: Any, frames: "Collection[int]") -> "Iterator[tuple[Any, bool]]":
    """Yield each strip that is shown, and whether any of these frames can depend on it."""
    every = list(shown(scene))
    # An effect may show its strips at other frames.
    taken = {
        other
        for strip in every
        for other in (getattr(strip, name, None) for name in ("input_1", "input_2"))
        if other is not None
    }
    for strip in every:
        first, end = strip.frame_final_start, strip.frame_final_end
        yield strip, strip in taken or any(first <= frame < end for frame in frames)


def _is_on(scene: Any) -> bool:
    is_on = scene.render.use_sequencer or farm_animation.changes(scene, "render.use_sequencer")
    return bool(is_on) and scene.sequence_editor is not None


def _outermost(editor: Any) -> Any:
    found = getattr(editor, "strips", None)
    return getattr(editor, "sequences", ()) if found is None else found
