"""The command ``farm``: one module per noun, `_common` for shared parts."""

import logging
import os
import sys
from typing import Annotated, Any

import typer
from farm_protocol.outputs import run_command
from farm_protocol.text import EscapingFormatter

from farm.cli import credits, jobs, plans, users, workers
from farm.cli._common import DataDir, fail, say, settings_of

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(users.users, name="users", help="Accounts of this farm.")
app.add_typer(plans.plans, name="plans", help="Service plans: limits of users.")
app.add_typer(credits.credits_, name="credits", help="Credits of all users.")
app.add_typer(jobs.jobs, name="jobs", help="Show and control the jobs of all users.")
app.add_typer(workers.workers, name="workers", help="Runners, machine types, hosts.")


def _tell_version(asked: bool) -> None:
    if asked:
        # Reading the version takes a moment, which the other commands can do without.
        from farm.version import __version__

        say(f"farm {__version__}")
        raise typer.Exit


@app.callback()
def farm(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="Show the version."),
    ] = False,
) -> None:
    """An open render farm: accounts, jobs, and the runners that start the renderers."""


@app.command()
def serve(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one.")] = None,
    embedded: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run a farm in the foreground. Ctrl-C stops it and its runners."""
    # Imported here: the other commands need none of it and start faster.
    from farm.main import serve as run
    from farm.process.data_folder import StartError

    handler = logging.StreamHandler()
    # These lines contain users' names and paths.
    handler.setFormatter(EscapingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    given: dict[str, Any] = {"host": host, "port": port, "embedded": embedded or None}
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        run(settings_of(data_dir, **chosen))
    except StartError as error:
        fail(str(error))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Make a farm's database, or bring it to this version. `farm serve` does so by itself."""
    from farm.main import migrate as run
    from farm.process.data_folder import StartError

    settings = settings_of(data_dir)
    try:
        version = run(settings)
    except StartError as error:
        fail(str(error))
    say(f"The database of {settings.data_dir} has version {version}.")


def main() -> None:
    """Run the command line."""
    # Commands write into a data folder, which nobody else may read. Runners' files, too: they
    # inherit this.
    os.umask(0o077)
    run_command(_run)


def _run() -> None:
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError:
            fail(f"The argument {argument!a} is not text in UTF-8.")
    app()
