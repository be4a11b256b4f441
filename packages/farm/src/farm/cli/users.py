"""``farm users``: who may use the farm.

They work on the data folder, also while the farm runs: a withdrawn key is refused at once, jobs of
a disabled user are suspended within seconds.
"""

import sys
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import typer

from farm.accounts import credentials
from farm.accounts.credits import available, grant
from farm.cli._common import (
    AsJson,
    DataDir,
    account_of,
    amount_of,
    fail,
    opened,
    print_json,
    print_table,
)
from farm.db import accounts
from farm.jobs.pricing import to_credits

users = typer.Typer(no_args_is_help=True)

Email = Annotated[str, typer.Argument(help="The user's address; also the login name.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read a password from standard input.")
]


@dataclass(frozen=True, slots=True)
class _Line:
    """One user. ``keys``: labels of the access keys."""

    email: str
    name: str
    plan: str
    active: bool
    has_password: bool
    keys: list[str]
    available: Decimal
    created_at: datetime


@users.command("add")
def add(
    email: Email,
    credits: Annotated[str, typer.Option(help="Credits to start with.")] = "0",
    password_stdin: PasswordStdin = False,
    data_dir: DataDir = None,
) -> None:
    """Create an account and print its access key: only this once."""
    amount = amount_of(credits, "--credits")
    if amount < 0:
        fail(f"--credits: '{credits}' is less than nothing.")
    password = _read_password() if password_stdin else None
    with opened(data_dir) as database:
        account_id = credentials.add_account(database, email, password)
        if amount:
            with database.write() as connection:
                grant(connection, account_id, amount, "opening balance")
        key = credentials.issue_key(database, account_id, "first key")
    print(f"Account {email.strip().casefold()} with {amount} credits. Its access key, shown once:")
    print(key)


@users.command("list")
def list_users(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show all users."""
    with opened(data_dir) as database, database.read() as connection:
        lines = []
        for account in accounts.everybody(connection):
            balance, _ = available(connection, account)
            lines.append(
                _Line(
                    email=account.email,
                    name=account.name,
                    plan=account.plan,
                    active=account.active,
                    has_password=account.password_hash is not None,
                    keys=accounts.key_labels(connection, account.id),
                    available=to_credits(balance),
                    created_at=account.created_at,
                )
            )
    if as_json:
        print_json(lines)
        return
    if not lines:
        print("There are no users. farm users add makes one.")
        return
    print_table(
        ("User", "Plan", "State", "Credits", "Password", "Access keys", "Since (UTC)"),
        (
            (
                line.email,
                line.plan,
                "active" if line.active else "disabled",
                f"{line.available:,.2f}",
                "yes" if line.has_password else "no",
                ", ".join(line.keys),
                f"{line.created_at:%Y-%m-%d}",
            )
            for line in lines
        ),
    )


@users.command("disable")
def disable(email: Email, data_dir: DataDir = None) -> None:
    """Lock a user out. Keys and password stop working, jobs stand still; nothing is removed."""
    with opened(data_dir) as database, database.write() as connection:
        account = account_of(connection, email)
        accounts.set_active(connection, account.id, active=False)
    print(f"{account.email} is disabled. Jobs are suspended within seconds.")


@users.command("enable")
def enable(email: Email, data_dir: DataDir = None) -> None:
    """Let a disabled user in again; jobs that stood still for that go on."""
    with opened(data_dir) as database, database.write() as connection:
        account = account_of(connection, email)
        accounts.set_active(connection, account.id, active=True)
    print(f"{account.email} is active.")


@users.command("password")
def password(email: Email, password_stdin: PasswordStdin = False, data_dir: DataDir = None) -> None:
    """Set a user's password. All access keys stop working: sign in again everywhere."""
    new = (
        _read_password()
        if password_stdin
        else str(typer.prompt("New password", hide_input=True, confirmation_prompt=True))
    )
    with opened(data_dir) as database:
        credentials.reset_password(database, email, new)
    print(f"{email.strip().casefold()} has a new password, and no access key any more.")


@users.command("rotate-key")
def rotate_key(email: Email, data_dir: DataDir = None) -> None:
    """Withdraw all access keys of a user, and print a new one: only this once."""
    with opened(data_dir) as database:
        key = credentials.rotate_key(database, email)
    print("All earlier keys are withdrawn. The new access key, shown once:")
    print(key)


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")
