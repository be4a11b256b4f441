"""``database.json`` in the data folder: which database belongs to this farm."""

import json
from enum import StrEnum
from pathlib import Path

from farm_protocol.private import FOLDER_MODE, read_regular, replace_private
from pydantic import BaseModel, ConfigDict, ValidationError

from farm.errors import CannotOpenDatabaseError

BLOBS = "blobs"
"""Folder in the data folder for the blobs of a farm that stores them on its own disk."""


class Kind(StrEnum):
    """What a farm keeps its tables in."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class Memory(BaseModel):
    """What a data folder remembers about its database.

    Attributes:
        farm_id: the identity stored in the database itself.
        where: for people; without user and password.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    farm_id: str
    where: str

    @staticmethod
    def path(data_dir: Path) -> Path:
        """Return the file of a data folder."""
        return data_dir / "database.json"

    @classmethod
    def read(cls, data_dir: Path) -> "Memory | None":
        """Return what a folder remembers; None: nothing yet.

        Raises:
            CannotOpenDatabaseError: the file cannot be read.
        """
        path = cls.path(data_dir)
        try:
            return cls.model_validate(json.loads(read_regular(path)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CannotOpenDatabaseError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, RecursionError, ValidationError) as error:
            raise CannotOpenDatabaseError(
                f"{path} is damaged. It says which database is this farm's. Restore it from a"
                " backup, or remove it if you are sure of FARM_DATABASE_URL."
            ) from error

    def write(self, data_dir: Path) -> None:
        """Store what the folder shall remember, unless it does already."""
        if Memory.read(data_dir) == self:
            return
        data_dir.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        replace_private(self.path(data_dir), self.model_dump_json().encode())
