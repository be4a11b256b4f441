"""The command ``farm``."""

import logging
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from farm_protocol.places import default_data_dir, embedded_farm_dir

from farm import cli_credits, cli_jobs
from farm.errors import FarmError

if TYPE_CHECKING:
    from farm.db.database import Database

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
users = typer.Typer(no_args_is_help=True)
app.add_typer(users, name="users", help="Accounts of this farm.")

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="The farm's data folder. Default: that of the farm embedded in Envoy.",
        show_default=False,
    ),
]


app.add_typer(cli_jobs.jobs, name="jobs", help="Jobs of all users: look at them, act on them.")
app.add_typer(cli_credits.credits_, name="credits", help="Credits of all users.")
app.command("workers")(cli_jobs.workers)


@app.callback()
def farm() -> None:
    """An open render farm: accounts, jobs, and the runners that start the renderers."""


@app.command()
def serve(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one.")] = None,
    embedded: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run a farm in the foreground. Ctrl-C stops it and its runners."""
    # Imported here: the other commands need none of it and start at once.
    from farm.config import Settings
    from farm.main import StartError
    from farm.main import serve as run

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    given: dict[str, Any] = {"host": host, "port": port, "embedded": embedded or None}
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        run(Settings(data_dir=_folder(data_dir), **chosen))
    except StartError as error:
        _fail(str(error))


@users.command("add")
def users_add(
    email: Annotated[str, typer.Argument(help="The user's address; also the login name.")],
    credits: Annotated[str, typer.Option(help="Credits to start with.")] = "0",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read a password from standard input.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Create an account and print its access key: only this once."""
    from farm.accounts.credentials import add_account, issue_key
    from farm.accounts.credits import grant

    try:
        amount = Decimal(credits)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or amount > 10**9:
        _fail(f"--credits: '{credits}' is not an amount of credits.")
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    database = _database(data_dir)
    try:
        account_id = add_account(database, email, password)
        if amount:
            with database.write() as connection:
                grant(connection, account_id, amount, "opening balance")
        key = issue_key(database, account_id, "first key")
    except FarmError as error:
        _fail(error.message)
    finally:
        database.close()
    print(f"Account {email.strip().casefold()} with {amount} credits. Its access key, shown once:")
    print(key)


def _folder(data_dir: Path | None) -> Path:
    return data_dir if data_dir is not None else embedded_farm_dir(default_data_dir())


def _database(data_dir: Path | None) -> "Database":
    """Open the database that the farm of this folder works on, or end with a sentence."""
    from farm.config import Settings
    from farm.db.opening import open_database

    folder = _folder(data_dir)
    try:
        return open_database(folder, Settings(data_dir=folder).database_url)
    except FarmError as error:
        _fail(error.message)


def _fail(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise SystemExit(1)


def main() -> None:
    """Run the command line."""
    app()
