"""The settings of one Envoy, read once by the composition root.

Each field can be given as an environment variable with the prefix ``ENVOY_`` (``ENVOY_PORT``) or
as the option of ``envoy up`` of the same name, which wins.
"""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from farm_protocol.places import default_data_dir, embedded_farm_dir
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_PORT = 8090
TOKEN_NAME = "token"  # noqa: S105


class Settings(BaseSettings):
    """What `envoy up` needs to know.

    Attributes:
        data_dir: the folder of the journal, the account, the logs and the embedded farm.
        port: of http://localhost:<port>; 0 takes a free one.
        farm_url: a farm elsewhere; "" starts the embedded one.
        strict: whether every request must show the token; see `envoy.process.token_file`.
        gather: whether files that scenes use but that nobody has added are sent: ``on``, unless
            a submission turns it off; ``asked``, where one asks for it; or ``off``.
        gather_folders: folders outside the project from which they may be sent; empty: all but
            hidden folders and the system's.
        rehash: forget all hashes at the start, so that each file is read again.
    """

    model_config = SettingsConfigDict(env_prefix="ENVOY_", env_ignore_empty=True, frozen=True)

    data_dir: Path = Field(default_factory=default_data_dir)
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    farm_url: str = ""
    strict: bool = False
    gather: Literal["on", "asked", "off"] = "on"
    gather_folders: list[Path] = []
    rehash: bool = False

    @field_validator("gather_folders")
    @classmethod
    def _check_gather_folders(cls, folders: list[Path]) -> list[Path]:
        """Refuse folders that do not exist: files in them would be missing."""
        for folder in folders:
            if not folder.is_dir():
                raise ValueError(f"'{folder}' is not a folder")
        return [folder.resolve() for folder in folders]

    @field_validator("farm_url")
    @classmethod
    def _check_farm_url(cls, url: str) -> str:
        """Refuse a farm address that no call could use."""
        if not url:
            return url
        try:
            parts = urlsplit(url)
            # Reading an invalid port raises ValueError.
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(f"'{url}' is not the address of a farm, such as https://farm:8100")
        return url

    @property
    def journal_path(self) -> Path:
        """The file of Envoy's journal."""
        return self.data_dir / "journal.sqlite3"

    @property
    def account_path(self) -> Path:
        """The signed-in account and its access key; readable by its owner only."""
        return self.data_dir / "account.json"

    @property
    def devices_path(self) -> Path:
        """Proofs to farms that this Envoy is known; see `envoy.farm.devices`."""
        return self.data_dir / "devices.json"

    @property
    def token_path(self) -> Path:
        """The token of the strict mode; see `envoy.process.token_file`."""
        return self.data_dir / TOKEN_NAME

    @property
    def lock_path(self) -> Path:
        """Locked for as long as an Envoy works on this folder."""
        return self.data_dir / "envoy.lock"

    @property
    def running_path(self) -> Path:
        """Who holds the lock: ``{"pid", "port"}``. Only for messages, never for decisions."""
        return self.data_dir / "envoy.json"

    @property
    def maps_dir(self) -> Path:
        """Maps of scenes' paths on their way to the farm; see `envoy.gather`."""
        return self.data_dir / "scene-maps"

    @property
    def logs_dir(self) -> Path:
        """Where Envoy's and the embedded farm's logs go."""
        return self.data_dir / "logs"

    @property
    def embedded_dir(self) -> Path:
        """The embedded farm's data folder."""
        return embedded_farm_dir(self.data_dir)
