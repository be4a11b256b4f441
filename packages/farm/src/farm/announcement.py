"""``farm.json`` in the data folder: where a farm is, and what it has, for whoever looks for it."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError


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

    def write(self, data_dir: Path) -> None:
        """Replace the announcement of the farm that ran here before."""
        temporary = data_dir / "farm.json.part"
        temporary.write_text(self.model_dump_json())
        temporary.replace(data_dir / "farm.json")

    @classmethod
    def read(cls, data_dir: Path) -> "Announcement | None":
        """Return what the newest farm on a data folder has said; None when none did."""
        try:
            return cls.model_validate_json((data_dir / "farm.json").read_bytes())
        except (OSError, ValidationError):
            return None
