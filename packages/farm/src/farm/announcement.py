"""``farm.json`` in the data folder: where a farm is, and what it has, for whoever looks for it.

Only the farm's own user can read it: it holds a secret by which an Envoy recognises the farm, and
the farm the Envoy (`farm_protocol.proof`).
"""

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError


class AnnouncedMachines(BaseModel):
    """A machine type, with the slots of the settings."""

    id: str
    gpu: bool
    slots: int


class Announcement(BaseModel):
    """What a farm says of itself when it begins to answer."""

    url: str
    pid: int
    version: str
    machines: Sequence[AnnouncedMachines]
    secret: str = Field(default="", repr=False)

    def write(self, data_dir: Path) -> None:
        """Replace the announcement of the farm that ran here before."""
        temporary = data_dir / "farm.json.part"
        temporary.unlink(missing_ok=True)
        # Created unreadable for others: chmod afterwards would leave a moment in between.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self.model_dump_json())
        temporary.replace(data_dir / "farm.json")

    @classmethod
    def read(cls, data_dir: Path) -> "Announcement | None":
        """Return what the newest farm on a data folder has said; None when none did."""
        try:
            return cls.model_validate_json((data_dir / "farm.json").read_bytes())
        except (OSError, ValidationError):
            return None
