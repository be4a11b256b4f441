"""``farm credits``: balances of accounts, their transactions, and whether all adds up.

They work on the data folder, also while the farm runs: it checks every few seconds, so that a
top-up resumes jobs that were suspended for lack of credits.
"""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Annotated
from uuid import uuid4

import typer
from farm_protocol.text import one_line

from farm.accounts.credits import available, check_movement, grant
from farm.cli._common import (
    AsJson,
    DataDir,
    account_of,
    amount_of,
    fail,
    opened,
    print_json,
    print_table,
    say,
)
from farm.db import accounts, ledger
from farm.jobs.pricing import to_credits

credits_ = typer.Typer(no_args_is_help=True)

Email = Annotated[str, typer.Argument(help="The user's address.")]


_LONGEST_REASON = 500
_LONGEST_REFERENCE = 100


@dataclass(frozen=True, slots=True)
class _Line:
    """An account's balance, in credits. ``not_posted``: metered, and included in the others."""

    email: str
    available: Decimal
    consumed: Decimal
    not_posted: Decimal


@credits_.command("show")
def show(
    email: Annotated[str | None, typer.Argument(help="Only this user's.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show the balance and consumption of accounts up to now."""
    with opened(data_dir) as database, database.read() as connection:
        chosen = [account_of(connection, email)] if email else accounts.fetch_all(connection)
        lines = []
        for account in chosen:
            balance, consumed = available(connection, account.id)
            not_posted = to_credits(account.balance_micros - balance)
            lines.append(
                _Line(account.email, to_credits(balance), to_credits(consumed), not_posted)
            )
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    if not lines:
        say("There are no users.")
        return
    print_table(
        ("User", "Available", "Consumed", "Not posted yet"),
        (
            (line.email, *map(_amount, (line.available, line.consumed, line.not_posted)))
            for line in lines
        ),
    )


# A negative amount begins with a dash, like an option.
@credits_.command("move", context_settings={"ignore_unknown_options": True})
def move(
    email: Email,
    amount: Annotated[
        str, typer.Argument(help=("Credits to give, or a negative number to take them."))
    ],
    reason: Annotated[str, typer.Option(help="The reason, which the user sees in the history.")],
    reference: Annotated[
        str | None,
        typer.Option(
            help="A name of your own for this transaction. One that was used before does nothing."
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Give credits to an account, or take them from it."""
    moved = amount_of(amount, "AMOUNT")
    reference = reference or uuid4().hex
    if len(reference) > _LONGEST_REFERENCE:
        fail(f"--reference: at most {_LONGEST_REFERENCE} characters.")
    if len(reason) > _LONGEST_REASON:
        fail(f"--reason: at most {_LONGEST_REASON} characters.")
    if not reason.strip():
        fail("--reason: say why, in a few words; it stays in the account's history.")
    for option, text in (("--reason", reason), ("--reference", reference)):
        try:
            one_line(text)
        except ValueError as error:
            fail(f"{option}: {error}")
    with opened(data_dir) as database, database.write() as connection:
        check_movement(moved, "AMOUNT")
        account = account_of(connection, email)
        grant(connection, account.id, moved, reason.strip(), reference)
        balance, _ = available(connection, account.id)
    if as_json:
        print_json(
            {
                "email": account.email,
                "moved": moved,
                "reference": reference,
                "available": to_credits(balance),
            },
        )
        return
    say(f"{account.email}: {_signed(moved)} credits; available: {_amount(to_credits(balance))}.")


@credits_.command("history")
def history(
    email: Email,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    before: Annotated[
        int | None,
        typer.Option(max=2**63 - 1, help="Only those older than the transaction with this number."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show an account's transactions, newest first."""
    with opened(data_dir) as database, database.read() as connection:
        account = account_of(connection, email)
        found = ledger.history(connection, account.id, before, limit)
    if as_json:
        print_json([{**asdict(each), "credits": to_credits(each.amount_micros)} for each in found])
        return
    if not found:
        say("There are no transactions.")
        return
    print_table(
        ("No.", "When (UTC)", "Kind", "Credits", "Reason", "Reference"),
        (
            (
                str(each.id),
                f"{each.created_at:%Y-%m-%d %H:%M:%S}",
                each.kind,
                _signed(to_credits(each.amount_micros)),
                each.reason,
                each.reference,
            )
            for each in found
        ),
    )


@credits_.command("check")
def check(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Check that accounts, jobs and the ledger agree. The exit status is 1 if they do not."""
    with opened(data_dir) as database, database.read() as connection:
        found = list(ledger.faults(connection))
    if as_json:
        print_json({"faults": found})
    else:
        say("\n".join(found) or "Accounts, jobs and the ledger agree.", lines=True)
    if found:
        raise SystemExit(1)


def _amount(credits: Decimal) -> str:
    return f"{credits:,.6f}".rstrip("0").rstrip(".")


def _signed(credits: Decimal) -> str:
    return f"{credits:+,.6f}".rstrip("0").rstrip(".")
