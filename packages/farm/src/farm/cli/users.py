"""``farm users``: who may use the farm.

They work on the data folder, also while the farm runs: a withdrawn key is refused at once, jobs of
a disabled user are suspended within seconds, and so do the limits of another plan count.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from farm_protocol.users import NewUser, Role, User, UserChange, UserWithKey

from farm.accounts import credentials
from farm.accounts.plans import STANDARD
from farm.accounts.users import create, describe
from farm.catalogue.machines import require_own_kind
from farm.cli._common import (
    AsJson,
    DataDir,
    account_of,
    amount_of,
    announced_machines,
    checked,
    fail,
    opened,
    print_json,
    print_table,
    say,
)
from farm.db import accounts
from farm.scheduler.limits import change_user
from farm.stores.room import shown

users = typer.Typer(no_args_is_help=True)

Email = Annotated[str, typer.Argument(help="The user's address; also the login name.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read a password from standard input.")
]


@users.command("add")
def add(
    email: Email,
    credits: Annotated[str, typer.Option(help="Credits to start with.")] = "0",
    plan: Annotated[str, typer.Option(help="A plan of `farm plans list`.")] = STANDARD,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.ARTIST,
    password_stdin: PasswordStdin = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Create an account and print its access key: only this once."""
    amount = amount_of(credits, "--credits")
    password = _read_password() if password_stdin else None
    new = checked(NewUser, email=email, password=password, credits=amount, plan=plan, role=role)
    with opened(data_dir) as database:
        created = create(database, new)
        with database.read() as connection:
            user = describe(connection, accounts.by_id(connection, created.id))
    if as_json:
        print_json(UserWithKey(user=user, access_key=created.access_key))
        return
    say(f"Account {user.email} with {amount} credits. Its access key, shown once:")
    say(created.access_key)


@users.command("list")
def list_users(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show all users."""
    with opened(data_dir) as database, database.read() as connection:
        found = [describe(connection, account) for account in accounts.fetch_all(connection)]
    if as_json:
        print_json(found)
        return
    if not found:
        say("There are no users. Add one with: farm users add")
        return
    print_table(
        (
            "User",
            "Role",
            "Plan",
            "State",
            "Credits",
            "Stored",
            "Password",
            "Access keys",
            "Since (UTC)",
        ),
        (
            (
                user.email,
                user.role.value,
                user.plan,
                _state(user),
                f"{user.available:,.2f}",
                shown(user.stored_bytes),
                _yes(user.has_password),
                ", ".join(user.keys),
                f"{user.created_at:%Y-%m-%d}",
            )
            for user in found
        ),
    )


@users.command("show")
def show(email: Email, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show a user: plan and limits, role, credits, access keys."""
    with opened(data_dir) as database, database.read() as connection:
        account = account_of(connection, email)
        user = describe(connection, account)
    if as_json:
        print_json(user)
        return
    plan = account.plan
    limits = f"{plan.job_throughput_limit} instances per job, {plan.max_throughput} in total"
    print_table(
        ("User", user.email),
        (
            ("Name", user.name),
            ("Role", user.role.value),
            ("State", _state(user)),
            ("Plan", f"{plan.name}: {limits}"),
            ("Credits", f"{user.available:,.6f}"),
            ("Consumed", f"{user.consumed:,.6f}"),
            ("Stored", _stored(user, plan.max_stored)),
            ("Emails", _yes(user.email_notices)),
            ("Machine (CPU)", user.machine_cpu or "the farm's default"),
            ("Machine (GPU)", user.machine_gpu or "the farm's default"),
            ("Password", _yes(user.has_password)),
            ("Access keys", ", ".join(user.keys)),
            ("Since (UTC)", f"{user.created_at:%Y-%m-%d %H:%M:%S}"),
        ),
    )


@users.command("plan")
def plan(
    email: Email,
    name: Annotated[str, typer.Argument(help="A plan of `farm plans list`.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Give a user another plan. It applies at once, also to running jobs."""
    user = _change(data_dir, email, checked(UserChange, plan=name))
    _print_user(user, as_json, f"{user.email} now has the plan '{user.plan}'.")


@users.command("role")
def role(
    email: Email,
    role: Annotated[Role, typer.Argument(help="What the user may do.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a user an administrator, who may manage users over the farm's API, or an artist."""
    user = _change(data_dir, email, UserChange(role=role))
    _print_user(user, as_json, f"{user.email} now has the role '{user.role.value}'.")


@users.command("emails")
def emails(
    email: Email,
    switch: Annotated[Literal["on", "off"], typer.Argument(help="Whether the user gets emails.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Switch a user's emails on or off: budgets that were reached, jobs that ended."""
    user = _change(data_dir, email, UserChange(email_notices=switch == "on"))
    what = "emails" if user.email_notices else "no emails"
    _print_user(user, as_json, f"{user.email} gets {what}.")


@users.command("machine")
def machine(
    email: Email,
    cpu: Annotated[
        str | None, typer.Option(help="Id of a machine type; '' for the farm's default.")
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(help="Id of a machine type with a GPU; '' for the farm's default.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Set the default machine types of a user's jobs; without options, show them."""
    with opened(data_dir) as database, database.write() as connection:
        if cpu or gpu:
            known = {each.id: each.gpu for each in announced_machines(data_dir)}
            require_own_kind(known, cpu, gpu)
        wanted = checked(UserChange, machine_cpu=cpu, machine_gpu=gpu)
        user = describe(connection, change_user(connection, account_of(connection, email), wanted))
    own = [each or "the farm's default" for each in (user.machine_cpu, user.machine_gpu)]
    text = (
        f"Jobs of {user.email} use these machine types unless they ask for others: {own[0]} (CPU),"
        f" {own[1]} (GPU)."
    )
    _print_user(user, as_json, text)


@users.command("disable")
def disable(email: Email, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Lock a user out. Keys and password stop working, jobs are suspended; nothing is removed."""
    user = _change(data_dir, email, UserChange(active=False))
    _print_user(user, as_json, f"{user.email} is disabled. The jobs are suspended within seconds.")


@users.command("enable")
def enable(email: Email, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Let a disabled user in again; jobs that were suspended for that continue."""
    user = _change(data_dir, email, UserChange(active=True))
    _print_user(user, as_json, f"{user.email} is enabled.")


@users.command("password")
def password(
    email: Email,
    password_stdin: PasswordStdin = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Set a user's password. All access keys stop working: sign in again everywhere."""
    new = (
        _read_password()
        if password_stdin
        else str(typer.prompt("New password", hide_input=True, confirmation_prompt=True))
    )
    with opened(data_dir) as database:
        credentials.reset_password(database, email, new)
        with database.read() as connection:
            user = describe(connection, account_of(connection, email))
    _print_user(
        user, as_json, f"{user.email} has a new password. All access keys have been withdrawn."
    )


@users.command("rotate-key")
def rotate_key(email: Email, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Withdraw all access keys of a user, and print a new one: only this once."""
    with opened(data_dir) as database:
        key = credentials.rotate_key(database, email)
        with database.read() as connection:
            user = describe(connection, account_of(connection, email))
    if as_json:
        print_json(UserWithKey(user=user, access_key=key))
        return
    say("All earlier keys have been withdrawn. The new access key, shown once:")
    say(key)


def _change(data_dir: Path | None, email: str, wanted: UserChange) -> User:
    with opened(data_dir) as database, database.write() as connection:
        changed = change_user(connection, account_of(connection, email), wanted)
        return describe(connection, changed)


def _print_user(user: User, as_json: bool, message: str) -> None:
    if as_json:
        print_json(user)
    else:
        say(message)


def _state(user: User) -> str:
    return "active" if user.active else "disabled"


def _stored(user: User, most: int) -> str:
    of = f" of {shown(most)}" if most else ""
    return f"{shown(user.stored_bytes)}{of}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _read_password() -> str:
    try:
        return sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        fail("The password on standard input is not text in UTF-8.")
