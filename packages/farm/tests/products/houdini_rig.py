"""Runs Houdini's render.py as a process, by the stand-in hython."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import farm.products
from stand_ins_houdini import install

SCRIPT = Path(farm.products.__file__).parent / "hou" / "scripts" / "render.py"
MANTRA = {"type": "ifd", "parms": {"vm_picture": "$HIP/render/shot.$F4.png"}}
CAMERA = {"type": "cam", "parms": {"resx": 64, "resy": 36}}
TAKES = {"wide": {"/obj/cam1/resx": 128, "/out/mantra1/vm_picture": "$HIP/wide/wide.$F4.png"}}


@dataclass
class Run:
    """What came of a process: its exit code, its events and its other lines."""

    code: int
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    @property
    def failure(self) -> str:
        assert self.code != 0
        (event,) = self.of("failed")
        return str(event["message"])

    @property
    def files(self) -> list[str]:
        return [name for event in self.of("frame_written") for name in event["files"]]

    @property
    def text(self) -> str:
        """All that it said to people."""
        return "\n".join([*self.lines, *(event["message"] for event in self.of("warned"))])


class Houdini:
    """A project folder with one scene, and the way to render it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.licensed = folder, True
        self.python: str | None = None
        self.project = folder / "project"
        self.output, self.partial = folder / "output", folder / "partial"
        (self.project / "film").mkdir(parents=True)
        self.output.mkdir()
        self.partial.mkdir()
        self.scene = self.project / "film" / "shot.hip"

    def write(
        self,
        *,
        stand_in: Mapping[str, object] | None = None,
        takes: Mapping[str, Mapping[str, object]] | None = None,
        variables: dict[str, str] | None = None,
        warnings: Sequence[str] = (),
        **nodes: Any,
    ) -> None:
        """Save the scene: Mantra and a camera, or what ``nodes`` say (``out__x``: /out/x)."""
        given = {f"/{name.replace('__', '/')}": node for name, node in nodes.items()}
        content = {
            "nodes": {"/obj/cam1": CAMERA, **(given or {"/out/mantra1": MANTRA})},
            "takes": takes or {},
            "variables": variables or {},
            "load_warnings": list(warnings),
            "stand_in": stand_in or {},
        }
        self.scene.write_text(json.dumps(content))

    def command(self, frames: str, rop: str, options: dict[str, object]) -> list[str]:
        hython = install(self.folder / "bin", self.python, self.licensed)["hython"]
        arguments = {
            "scene": self.scene,
            "project": self.project,
            "output": self.output,
            "partial": self.partial,
            "frames": frames,
            "rop": rop,
            **{
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in options.items()
            },
        }
        return [str(hython), str(SCRIPT), *(f"--{k}={v}" for k, v in arguments.items())]

    def render(self, frames: str = "1", rop: str = "/out/mantra1", **options: object) -> Run:
        done = subprocess.run(
            self.command(frames, rop, options),
            env={"FARM_PARENT": str(os.getpid())},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        run = Run(done.returncode)
        for line in done.stdout.splitlines():
            if line.startswith("farm_event: "):
                run.events.append(json.loads(line.removeprefix("farm_event: ")))
            elif line:
                run.lines.append(line)
        if run.code == 0:
            assert not run.of("failed")
        return run

    def delivered(self) -> list[str]:
        files = [path for path in self.output.rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self.output)) for path in files)


def node(
    kind: str,
    inputs: Sequence[str] = (),
    locked: Sequence[str] = (),
    expressions: dict[str, str] | None = None,
    **parms: Any,
) -> dict[str, object]:
    return {
        "type": kind,
        "parms": parms,
        "inputs": list(inputs),
        "locked": list(locked),
        "expressions": expressions or {},
    }
