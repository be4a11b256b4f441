"""Simulations without a bake: each frame needs the previous ones.

Blender computes such a frame from the previous one. Without that, the object does not move, or
moves by a single step, and nothing is printed. Rendering an animation in the background does not
compute it from the beginning, either. So before anything is rendered, the scene is played through
all frames from the beginning of its simulations to the last requested one: the result depends
neither on the number of machines nor on the requested frames.
"""

import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import bpy
import farm_caches
import farm_use
from farm_events import note
from farm_script import listed

_TELL_SECONDS = 10.0
"""Shorter than any limit of silence: long work must report progress."""
_ZONE = "GeometryNodeSimulationOutput"


class Simulation(NamedTuple):
    """A simulation that is computed while frames are rendered.

    Attributes:
        owner: the object; for rigid bodies, the scene.
        first, last: its frames; outside of them nothing moves.
        modifier: modifier of the object; None for rigid bodies.
    """

    owner: Any
    first: int
    last: int
    modifier: Any = None


class Playback:
    """Plays a scene through the frames that its simulations need."""

    def __init__(self, scene: Any) -> None:
        """Find the simulations of rendered objects, and enable them."""
        used = farm_use.of_scene(scene)
        # Those that its compositor, its sequencer or itself as their set shows, too.
        self._scenes = [each for each in bpy.data.scenes if each in used]
        self._found = list(_of(self._scenes, used))
        self._blurred = any(each.render.use_motion_blur for each in self._scenes)
        self._first = min((each.first for each in self._found), default=0)
        self._last = max((each.last for each in self._found), default=-1)
        for each in self._found:
            # A playback would leave out objects that only the render shows.
            if each.modifier is not None:
                each.owner.hide_viewport = False
                each.modifier.show_viewport = True
        for collection in bpy.data.collections if self._found else ():
            if not collection.hide_render:
                collection.hide_viewport = False

    @property
    def warning(self) -> str:
        """A message for the job's owner; "" without simulations."""
        if not self._found:
            return ""
        names = listed(
            sorted(
                {
                    each.owner.name if each.modifier else f"{each.owner.name} (rigid bodies)"
                    for each in self._found
                }
            )
        )
        return (
            f"The scene has simulations that are not baked, or not known to be: {names}."
            f" Each machine computes them from frame {self._first} on. Bake them before you submit"
            " to save that time."
        )

    def run(self, last: int) -> None:
        """Compute everything that a frame and its predecessors need.

        Call it before the first frame is rendered: a render disturbs fluids that are computed
        during playback. Computed frames are kept, and only read from then on.
        """
        # Motion blur looks ahead.
        last = min(last + self._blurred, self._last)
        reported_at = time.monotonic()
        for frame in range(self._first, last + 1):
            for scene in self._scenes:
                scene.frame_set(frame)
            if time.monotonic() - reported_at > _TELL_SECONDS:
                reported_at = time.monotonic()
                note(f"Simulations are computed up to frame {frame} of {last}.")


def _of(scenes: "list[Any]", used: "set[Any]") -> "Iterator[Simulation]":
    for scene in scenes:
        world = scene.rigidbody_world
        if world and world.enabled and world.collection and world.collection.objects:
            cache = world.point_cache
            if not cache.is_baked:
                yield Simulation(scene, cache.frame_start, cache.frame_end)
    for thing in bpy.data.objects:
        if thing not in used:
            continue
        for modifier in thing.modifiers:
            if not modifier.show_render:
                continue
            for first, last in _ranges(scenes, modifier):
                yield Simulation(thing, first, last, modifier)


def _ranges(scenes: "list[Any]", modifier: Any) -> "Iterator[tuple[int, int]]":
    """Yield the frames of a modifier that simulates without a bake."""
    for cache in farm_caches.point_caches(modifier):
        if _moves(modifier) and not cache.is_baked and not cache.use_external:
            yield cache.frame_start, cache.frame_end
    if modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
        domain = modifier.domain_settings
        if domain.cache_type == "REPLAY":
            # Computed again, and never where the artist's machine keeps its cache.
            domain.cache_directory = tempfile.mkdtemp(prefix="fluid-")
            yield domain.cache_frame_start, domain.cache_frame_end
    if modifier.type == "NODES" and modifier.node_group:
        yield from _zones(scenes, modifier)


def _moves(modifier: Any) -> bool:
    """Return whether particles depend on their previous positions; hair only grows."""
    if modifier.type != "PARTICLE_SYSTEM":
        return True
    system = modifier.particle_system
    if system.settings.type == "HAIR":
        return bool(system.use_hair_dynamics)
    return bool(system.settings.physics_type != "NO")


def _zones(scenes: "list[Any]", modifier: Any) -> "Iterator[tuple[int, int]]":
    """Yield the frames of simulation zones, which Blender has since 3.6.

    Scripts cannot find out whether one is baked into the file. One that is baked, to disk or into
    the file, is only read during playback.
    """
    if not _has_zone(modifier.node_group, set()):
        return
    for bake in getattr(modifier, "bakes", ()):
        if bake.use_custom_simulation_frame_range:
            yield bake.frame_start, bake.frame_end
    for scene in scenes:
        if getattr(scene, "use_custom_simulation_range", False):
            yield scene.simulation_frame_start, scene.simulation_frame_end
        else:
            yield scene.frame_start, max(scene.frame_end, scene.frame_start)


def _has_zone(tree: Any, seen: "set[Any]") -> bool:
    if tree in seen:
        return False
    seen.add(tree)
    return any(
        node.bl_idname == _ZONE
        or (getattr(node, "node_tree", None) is not None and _has_zone(node.node_tree, seen))
        for node in tree.nodes
    )
