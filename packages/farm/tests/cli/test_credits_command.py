"""``farm credits``, as an administrator types it."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from command_line import Done, farm, read
from farm.accounts.users import create
from farm.db.opening import open_database
from farm.db.tables import accounts
from farm_protocol.users import NewUser
from messages import saying, says
from sqlalchemy import update


class Office:
    """A farm's data folder with two users, and the command line."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.folder = folder
        self.database = open_database(folder, url)
        for name in ("ann", "bob"):
            create(self.database, NewUser(email=f"{name}@example.com"))

    def farm(self, *arguments: str) -> Done:
        return farm(self.folder, "credits", *arguments)

    def read(self, *arguments: str) -> Any:
        return read(self.folder, "credits", *arguments)


@pytest.fixture
def office(tmp_path: Path, on_database: str | None) -> Iterator[Office]:
    office = Office(tmp_path, on_database)
    yield office
    office.database.close()


def test_credits_are_given_and_taken_exactly(office: Office) -> None:
    assert office.read("move", "Ann@example.com", "0.3", "--reason", "gift")["available"] == "0.3"
    told = office.farm("move", "ann@example.com", "-0.100001", "--reason", "mistake")
    assert told.stdout == saying("credits-available", "ann@example.com", "-0.100001", "0.199999")
    ann, bob = office.read("show")
    assert (ann["email"], ann["available"], ann["consumed"]) == ("ann@example.com", "0.199999", "0")
    assert Decimal(bob["available"]) == 0
    assert "0.199999" in office.farm("show", "ann@example.com").stdout
    assert [line["email"] for line in office.read("show", "bob@example.com")] == ["bob@example.com"]


def test_a_script_that_is_repeated_moves_once(office: Office) -> None:
    move = ("move", "ann@example.com", "5", "--reason", "gift", "--reference", "invoice 7")
    assert [office.read(*move)["available"] for _ in range(2)] == ["5", "5"]
    for amount, reason in (("6", "gift"), ("5", "loan")):
        another = ("move", "ann@example.com", amount, "--reason", reason, *move[5:])
        other = office.farm(*another)
        assert (other.returncode, other.stdout) == (1, "")
        assert other.stderr == saying("reference-already-used", "invoice 7")
    # It is one of this account only.
    assert office.read("move", "bob@example.com", *move[2:])["available"] == "5"
    # Each has one, which the sender may give again.
    given = office.read("move", "ann@example.com", "1", "--reason", "gift")
    again = ("move", "ann@example.com", "1", "--reason", "gift", "--reference")
    assert office.read(*again, given["reference"])["available"] == "6"


def test_the_history_says_why_and_has_pages(office: Office) -> None:
    for number in (1, 2, 3):
        office.read("move", "ann@example.com", str(number), "--reason", f"[b]{number}[/b]")
    office.read("move", "bob@example.com", "9", "--reason", "other")
    newest, second = office.read("history", "ann@example.com", "--limit", "2")
    assert [(newest["credits"], newest["reason"]), second["credits"]] == [("3", "[b]3[/b]"), "2"]
    (first,) = office.read("history", "ann@example.com", "--before", str(second["id"]))
    assert first["credits"] == "1"
    table = office.farm("history", "ann@example.com").stdout
    assert "[b]3[/b]" in table
    assert "+3" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eve@example.com", "1", "--reason", "x"), saying("no-user", "eve@example.com")),
        (("ann@example.com", "1", "--reason", "x" * 501), saying("reason-most-characters", 500)),
        (("ann@example.com", "much", "--reason", "x"), saying("not-amount-credits", "much")),
        (("ann@example.com", "NaN", "--reason", "x"), saying("not-amount-credits", "NaN")),
        (("ann@example.com", "0", "--reason", "x"), saying("credits-need-a-number")),
        (("ann@example.com", "-1e10", "--reason", "x"), saying("most-credits-time", 1000000000)),
        (("ann@example.com", "0.0000001", "--reason", "x"), saying("credits-most-six-decimals")),
        (("ann@example.com", "1", "--reason", "  "), saying("reason-say-why-few-words")),
        (("ann@example.com", "1"), "--reason"),
    ],
)
def test_what_is_wrong_moves_nothing_and_is_told(
    office: Office, arguments: tuple[str, ...], message: saying | str
) -> None:
    done = office.farm("move", *arguments)
    assert done.returncode != 0
    assert says(done.stderr, message) if isinstance(message, saying) else message in done.stderr
    assert office.read("history", "ann@example.com") == []


def test_the_check_names_the_account_that_does_not_add_up(office: Office) -> None:
    office.read("move", "ann@example.com", "5", "--reason", "x")
    assert office.read("check") == {"faults": []}
    with office.database.write() as connection:
        connection.execute(
            update(accounts).where(accounts.c.email == "ann@example.com").values(balance_micros=6)
        )
    done = office.farm("check")
    assert done.returncode == 1
    assert "ann@example.com" in done.stdout
    assert "bob@example.com" not in done.stdout
