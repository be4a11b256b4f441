"""Shared parts of the commands that look into a farm: its database, tables, JSON, and messages."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from farm_protocol.announcement import AnnouncedMachines, Announcement
from farm_protocol.faults import fault_text, not_json
from farm_protocol.places import default_data_dir, embedded_farm_dir
from farm_protocol.text import escaped, json_text
from pydantic import BaseModel, ByteSize, TypeAdapter, ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from farm.accounts.credits import check_amount
from farm.config import Settings
from farm.db import accounts
from farm.db.accounts import AccountRow
from farm.db.engine.database import Database
from farm.db.opening import open_existing
from farm.errors import FarmError, InvalidRequestError
from farm.stores.room import shown

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="FARM_DATA_DIR",
        help="The farm's data folder. Default: that of the farm embedded in Envoy.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

Asked = TypeVar("Asked", bound=BaseModel)

_WIDE = 200
_SIZE = TypeAdapter(ByteSize)


@contextmanager
def opened(data_dir: Path | None) -> Iterator[Database]:
    """Open the database of an existing farm; an error of the farm becomes a message."""
    folder = farm_folder(data_dir)
    try:
        database = open_existing(folder, settings_of(data_dir).database_url)
    except FarmError as error:
        fail(error.message)
    try:
        yield database
    except FarmError as error:
        fail(message(error))
    finally:
        database.close()


def farm_folder(data_dir: Path | None) -> Path:
    """Return the chosen data folder."""
    return data_dir if data_dir is not None else embedded_farm_dir(default_data_dir())


def announced_machines(data_dir: Path | None) -> Sequence[AnnouncedMachines]:
    """Return the machine types of the farm on the data folder; exit if there is none."""
    announced = Announcement.read(farm_folder(data_dir))
    if announced is None:
        fail("The farm is not running, and its machine types are known only while it runs.")
    return announced.machines


def checked(model: type[Asked], **values: Any) -> Asked:
    """Return a command's input; a wrong option ends it with a message."""
    try:
        return model(**values)
    except ValidationError as error:
        fault = error.errors()[0]
        fail(fault_text(fault, f"--{str(fault['loc'][0]).replace('_', '-')}"))


def settings_of(data_dir: Path | None, **chosen: Any) -> Settings:
    """Return the settings from the environment and the options; a wrong one ends the command."""
    try:
        return Settings(data_dir=farm_folder(data_dir), **chosen)
    except SettingsError as error:
        fail(not_json(error, os.environ, "FARM_"))
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"])
        fail(f"The setting FARM_{field.upper()} is wrong. {fault_text(fault)}")


def print_json(what: Any) -> None:
    """Print for programs: dataclasses, models. Times are ISO 8601; exact amounts are texts."""
    print(json_text(what, default=_json))


def say(text: str, *, lines: bool = False, end: str = "\n", err: bool = False) -> None:
    """Print for people. The text cannot control the terminal.

    Parameters:
        lines: the text may have several lines.
        err: to the standard error output.
    """
    print(escaped(text, lines=lines), end=end, file=sys.stderr if err else sys.stdout)


def _json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_table(titles: Iterable[str], lines: Iterable[Iterable[str]]) -> None:
    """Print for people."""
    table = Table()
    for title in titles:
        table.add_column(Text(escaped(title)), overflow="fold")
    for line in lines:
        # Text, not markup: names are untrusted, and may contain brackets, and worse.
        table.add_row(*(Text(escaped(cell)) for cell in line))
    # In a file or a pipe, lines are not wrapped.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def account_of(connection: Connection, email: str) -> AccountRow:
    """Return a user, or exit with a message when there is none."""
    account = accounts.by_email(connection, email)
    if account is None:
        fail(f"There is no user '{email}'.")
    return account


def amount_of(text: str, field: str) -> Decimal:
    """Return a signed amount of credits, or exit with what is wrong with it.

    Parameters:
        field: its name in the message.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        fail(f"{field}: '{text}' is not an amount of credits.")
    try:
        check_amount(amount, field)
    except InvalidRequestError as error:
        fail(message(error))
    return amount


def size_of(text: str | None, option: str) -> int | None:
    """Return a number of bytes, such as 500GB or 2GiB; None for None. Exits with a message."""
    if text is None:
        return None
    try:
        return int(_SIZE.validate_python(text))
    except ValidationError:
        fail(f"{option}: '{text}' is not a size: write one such as 500GB, or 0 for no limit.")


def size_shown(size: int) -> str:
    """Return a limit in bytes for people."""
    return shown(size) if size else "no number"


def message(error: FarmError) -> str:
    """Return an error's text for people: what is wrong with which field, or its message."""
    wrong = [f"{field}: {text}" for field, texts in error.errors.items() for text in texts]
    return "\n".join(wrong) or error.message


def fail(message: str) -> NoReturn:
    """End the command with a message."""
    say(message, lines=True, err=True)
    raise SystemExit(1)
