"""Sketches: the brush that a scene names, unless the job names another one."""

from collections.abc import Mapping
from pathlib import Path

from farm.products import SceneError, SceneFiles


def read_scene(scene: Path, partial: Path, values: Mapping[str, str]) -> SceneFiles:
    """Return the brush that is to draw."""
    brush = values["brush"] or scene.read_text(encoding="utf-8").strip()
    if not brush:
        raise SceneError(f"{scene.name} names no brush.")
    return SceneFiles(scene, {"brush": brush}, None)
