"""The command ``farm``: a module for each noun, `_common` for what they share."""

import logging
from typing import Annotated, Any

import typer

from farm.cli import credits, jobs, plans, users
from farm.cli._common import DataDir, fail, farm_folder
from farm.cli.workers import workers

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(users.users, name="users", help="Accounts of this farm.")
app.add_typer(plans.plans, name="plans", help="Service plans: limits of users.")
app.add_typer(credits.credits_, name="credits", help="Credits of all users.")
app.add_typer(jobs.jobs, name="jobs", help="Jobs of all users: look at them, act on them.")
app.command("workers")(workers)


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
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

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
        run(Settings(data_dir=farm_folder(data_dir), **chosen))
    except (StartError, SettingsError) as error:
        fail(str(error))
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"])
        fail(f"The setting FARM_{field.upper()} is wrong: {fault['msg']}.")


def main() -> None:
    """Run the command line."""
    app()
