"""``farm.json`` in the data folder: tells programs where a farm is, and what it has.

Only the farm's own user can read it: it holds a secret by which Envoy and the farm recognise each
other (`farm_protocol.proof`). A farm that Envoy has started also prints a `ReadyLine` on its
standard output.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from farm_protocol.private import read_regular, replace_private


class AnnouncedMachines(BaseModel):
    """A machine type, with the slots of the settings."""

    id: str
    gpu: bool
    slots: int


class Announcement(BaseModel):
    """What a farm announces once it answers requests."""

    url: str
    pid: int
    version: str = ""
    machines: Sequence[AnnouncedMachines] = ()
    secret: str = Field(default="", repr=False)

    def write(self, data_dir: Path) -> None:
        """Replace the announcement of the farm that ran here before."""
        replace_private(data_dir / "farm.json", self.model_dump_json().encode())

    @classmethod
    def read(cls, data_dir: Path) -> "Announcement | None":
        """Return what the newest farm on a data folder has announced; None when there is none."""
        try:
            return cls.model_validate_json(read_regular(data_dir / "farm.json"))
        except (OSError, ValidationError):
            return None


class ReadyLine(BaseModel):
    """What an embedded farm reports to its Envoy once it answers: one line of JSON."""

    event: Literal["ready"]
    url: str
    pid: int
    version: str = ""
