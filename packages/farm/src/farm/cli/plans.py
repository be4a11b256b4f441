"""``farm plans``: how much of the farm its users may take at a time.

They work on the data folder, also while the farm runs: it looks every few seconds, and runners that
become too many end after the frame they are at.
"""

from collections.abc import Sequence
from typing import Annotated

import typer
from farm_protocol.users import Plan as PlanInUse

from farm.accounts.plans import described, remove_plan
from farm.cli._common import (
    AsJson,
    DataDir,
    opened,
    print_json,
    print_table,
    say,
    size_of,
    size_shown,
)
from farm.db.plans import changed
from farm.scheduler.limits import set_plan

plans = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The plan's name.")]


@plans.command("list")
def list_plans(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show all plans, and how many users have each."""
    with opened(data_dir) as database, database.read() as connection:
        found = described(connection)
    if as_json:
        print_json(found)
        return
    print_table(
        ("Plan", "Instances of a job", "Instances of a user", "Stored", "Being sent", "Users"),
        (
            (
                plan.name,
                str(plan.job_throughput_limit),
                str(plan.max_throughput),
                size_shown(plan.max_stored),
                size_shown(plan.max_in_flight),
                str(plan.users),
            )
            for plan in found
        ),
    )


@plans.command("set")
def set_(
    name: Name,
    job_throughput_limit: Annotated[int, typer.Option(help="Maximum instances of one job.")],
    max_throughput: Annotated[
        int, typer.Option(help=("Maximum instances over all jobs of a user."))
    ],
    max_stored: Annotated[
        str | None,
        typer.Option(
            help=("Maximum that a user may store, such as 500GB, or 0 for no limit of its own.")
        ),
    ] = None,
    max_in_flight: Annotated[
        str | None,
        typer.Option(
            help=(
                "Maximum that a user may have in transit at a time, such as 50GB, or 0 for no"
                " limit."
            )
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a plan, or change one: that counts at once, for running jobs too."""
    with opened(data_dir) as database, database.write() as connection:
        plan = changed(
            connection,
            name,
            job_throughput_limit=job_throughput_limit,
            max_throughput=max_throughput,
            max_stored=size_of(max_stored, "--max-stored"),
            max_in_flight=size_of(max_in_flight, "--max-in-flight"),
        )
        set_plan(connection, plan)
        after = described(connection)
    message = (
        f"'{name}': {job_throughput_limit} instances per job, {max_throughput} per user; "
        f"{size_shown(plan.max_stored)} stored, {size_shown(plan.max_in_flight)} being sent."
    )
    _tell(after, as_json, message)


@plans.command("remove")
def remove(name: Name, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Remove a plan that no user has."""
    with opened(data_dir) as database, database.write() as connection:
        remove_plan(connection, name)
        after = described(connection)
    _tell(after, as_json, f"The plan '{name}' is removed.")


def _tell(after: Sequence[PlanInUse], as_json: bool, message: str) -> None:
    if as_json:
        print_json(after)
    else:
        say(message)
