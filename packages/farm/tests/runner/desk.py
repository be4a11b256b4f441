"""Where jobs of Nuke, Maya, Cinema 4D and V-Ray are run with strict stand-ins."""

import re
from collections.abc import Collection
from pathlib import Path

from farm_protocol.runner import JobLimits
from pydantic import JsonValue
from stand_ins import install
from stand_ins.scenes import write_scene

from .fake_farm import FakeFarm
from .in_process import run_job


class Desk:
    """Runs jobs of one product."""

    def __init__(self, folder: Path, product: str) -> None:
        self.folder, self.product = folder, product
        self.program = install(folder / "bin it's", product)[product]
        (folder / "project").mkdir()

    def run(
        self,
        *orders: str,
        claims: list[list[int]],
        extra: str = "",
        root: str = "",
        taken: Collection[int] = (),
        limits: JobLimits | None = None,
        **params: JsonValue,
    ) -> FakeFarm:
        """Render a scene with orders for the stand-in; return the farm that was told of it."""
        scene = write_scene(self.folder / "project", self.product, *orders, extra=extra)
        if root:  # another head of a Nuke script
            scene.write_text(re.sub(r"(?s)Root \{.*?\n\}\n", lambda _: root, scene.read_text()))
        return self.render(scene, claims=claims, taken=taken, limits=limits, **params)

    def render(
        self,
        scene: Path,
        *,
        claims: list[list[int]],
        taken: Collection[int] = (),
        limits: JobLimits | None = None,
        **params: JsonValue,
    ) -> FakeFarm:
        """Render a scene of the project as it is."""
        return run_job(
            self.folder,
            self.product,
            self.program,
            "render",
            scene.name,
            claims,
            {"frames": "1 10", **params},
            taken=taken,
            limits=limits,
        )
