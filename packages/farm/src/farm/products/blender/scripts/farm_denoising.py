"""Denoising that this Blender, or this machine, cannot do as the scene asks for it.

Cycles ends by itself where Blender was built without OpenImageDenoise. The compositor passes its
picture on as it is, and where a denoiser is missing Cycles takes another one, both without a word.
"""

import sys
from collections.abc import Iterator
from typing import Any

import farm_nodes
from farm_events import SceneError, warn


def check(scene: Any) -> None:
    """Warn of another denoiser than the scene's. After its device is chosen, on which that depends.

    Raises:
        SceneError: the compositor denoises, and this Blender cannot.
    """
    # Cycles' own module; without Cycles nothing says whether Blender denoises.
    cycles = sys.modules.get("_cycles")
    able = getattr(cycles, "with_openimagedenoise", True)
    if not able and any(node.type == "DENOISE" and not node.mute for node in _composited(scene)):
        raise SceneError(
            "The scene's compositing denoises, which this Blender was built without. Remove its"
            " Denoise nodes, or submit with another version of Blender."
        )
    # A denoiser that is not on offer here reads as nothing.
    if able and _denoises(scene) and not scene.cycles.denoiser:
        warn(
            "The scene is denoised by OptiX, for which this job has no GPU: OpenImageDenoise takes"
            " its place, and the frames may look a little different."
        )


def _denoises(scene: Any) -> bool:
    if scene.render.engine != "CYCLES":
        return False
    layers = [layer for layer in scene.view_layers if layer.use]
    return scene.cycles.use_denoising and any(layer.cycles.use_denoising for layer in layers)


def _composited(scene: Any) -> "Iterator[Any]":
    """Yield the nodes that the composited picture depends on, also those in groups."""
    trees = [farm_nodes.compositing_of(scene)]
    seen = set()  # type: set[Any]
    while trees:
        tree = trees.pop()
        if tree is None or tree in seen:
            continue
        seen.add(tree)
        for node in farm_nodes.reached(tree):
            yield node
            trees.append(getattr(node, "node_tree", None))
