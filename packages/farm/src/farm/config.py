"""The farm's settings: read once, from arguments and ``FARM_...`` variables, then frozen."""

import ipaddress
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from farm_protocol.runner import LimitsMode, SandboxMode
from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from farm.jobs.licences import FREE_SECONDS_OF_A_DAY

Paths = Annotated[
    list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
"""One path, or several."""


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(
            f"'{value}' is not an IP address. List each reverse proxy by its own address, such as"
            " 127.0.0.1: networks, names and * would let others say who calls"
        ) from None


Address = Annotated[str, AfterValidator(_address)]
"""An IP address, as `ipaddress` writes it."""


class Settings(BaseSettings):
    """Settings of one farm process. Each can be set as ``FARM_<NAME>``.

    Attributes:
        data_dir: database, blobs, work folders and logs.
        host: address to listen on; only loopback until the farm speaks TLS.
        port: 0 takes the port of the last run if it is free, else any free one.
        proxies: IP addresses of reverse proxies that are trusted to name their callers.
        connections: most at a time, of all addresses; fewer where the system allows few open files.
        connections_per_address: of one address that is neither loopback nor a proxy.
        reserve: bytes of the data folder's disk that stay free; None: see `farm.stores.room`.
        embedded: started by an Envoy: announce the address on standard output, and exit once
            standard input is closed and nothing is left to do.
        blender: path of a Blender; None looks for one on PATH, then for bpy.
        sandbox: whether renderers run in bubblewrap; ``auto``: where it works, and jobs say where
            it does not; ``required``: a machine without it refuses the work; None:
            `farm.confine.policy` decides.
        limits: what a machine does that has no control group for renderers' memory; ``auto``: it
            watches them; ``required``: it refuses the work.
        render_user: account of renderers where the farm is root; "": an exclusive one for each
            runner.
        programs: product -> paths of its programs, which are then its only ones.
        products: folders with a studio's own products, each in a folder of its own; see
            `farm.products.Library`. Their code runs with the farm's rights.
        catalogue: the studio's changes to products, plug-ins and machine types; None: only ours.
        local_slots: renderers at a time on this machine. One by default: a renderer uses all cores,
            and two would only wait for each other.
        credits_per_hour: price of one instance.
        unlicensed_seconds: most machine time per day that is free for an account because its
            renderers got no licence; 0: none.
        missing_files: what happens to a submission whose scenes need files that the project does
            not have; see `farm.submissions.missing_files`.
        database_url: ``postgresql://...``; None is the SQLite file of the data folder. May hold
            a password: never logged.
        smtp_host: mail server for notices to users about their jobs; "": no notices.
        smtp_security: ``tls`` from the first byte, or ``starttls``.
        smtp_user, smtp_password: "": without signing in. The password is never logged.
        smtp_sender: address that messages come from.
    """

    model_config = SettingsConfigDict(env_prefix="FARM_", frozen=True, extra="forbid")

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    proxies: list[Address] = []
    connections: int = Field(default=1000, ge=16, le=100_000)
    connections_per_address: int = Field(default=100, ge=1)
    reserve: ByteSize | None = None
    embedded: bool = False
    blender: str | None = None
    sandbox: SandboxMode | None = None
    limits: LimitsMode = "auto"
    render_user: str = ""
    programs: dict[str, Paths] = {}
    products: list[Path] = []
    catalogue: Path | None = None
    local_slots: int = Field(default=1, ge=1)
    credits_per_hour: Decimal = Field(default=Decimal("1"), ge=0)
    unlicensed_seconds: float = Field(default=FREE_SECONDS_OF_A_DAY, ge=0, allow_inf_nan=False)
    missing_files: Literal["refuse", "warn", "off"] = "warn"
    database_url: str | None = Field(default=None, repr=False)
    smtp_host: str = ""
    smtp_port: int = Field(default=25, ge=1, le=65535)
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_sender: str = "farm@localhost"
