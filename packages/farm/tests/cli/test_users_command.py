"""``farm users``, as an administrator types it, beside a farm that runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import Done, ended, farm
from messages import saying, says

EMAIL, PASSWORD = "ann@example.com", "correct horse"


class Office:
    """A running farm with one user, and the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "farm", "serve", "--embedded", "--data-dir", str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.farm("add", EMAIL, "--password-stdin", given=PASSWORD)

    def farm(self, *arguments: str, noun: str = "users", given: str = "") -> Done:
        return farm(self.folder, noun, *arguments, given=given)

    def users(self) -> Any:
        return json.loads(self.farm("list", "--json").stdout)

    def login(self, secret: str) -> httpx.Response:
        return httpx.post(
            f"{self.url}/v1/login", json={"email": EMAIL, "secret": secret}, timeout=60
        )

    def key(self, secret: str = PASSWORD) -> str:
        return str(self.login(secret).raise_for_status().json()["access_key"])

    def me(self, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{self.url}/v1/me", headers=headers, timeout=60).status_code


@pytest.fixture
def office(tmp_path: Path, on_database: str | None) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    ended(office.process)


def test_the_list(office: Office) -> None:
    office.farm("add", "b*o*b@example.com", "--credits", "5")
    lines = {line["email"]: line for line in office.users()}
    assert lines[EMAIL]["has_password"]
    assert lines[EMAIL]["keys"] == ["first key"]
    assert lines["b*o*b@example.com"]["available"] == "5"
    assert not lines["b*o*b@example.com"]["has_password"]
    assert "b*o*b@example.com" in office.farm("list").stdout


def test_a_disabled_user_is_out_at_once(office: Office) -> None:
    key = office.key()
    assert office.me(key) == 200
    assert says(office.farm("disable", EMAIL).stdout, "user-is-disabled", EMAIL)
    assert office.me(key) == 401
    assert office.login(PASSWORD).status_code == 401
    assert office.login(key).status_code == 401
    assert not office.users()[0]["active"]
    office.farm("enable", EMAIL)
    assert office.me(key) == 200


def test_a_new_password_ends_all_sessions(office: Office) -> None:
    key = office.key()
    done = office.farm("password", EMAIL, "--password-stdin", given="another horse")
    assert done.returncode == 0, done.stderr
    assert office.me(key) == 401
    assert office.login(PASSWORD).status_code == 401
    assert office.me(office.key("another horse")) == 200
    short = office.farm("password", EMAIL, "--password-stdin", given="short")
    assert (short.returncode, says(short.stderr, "password-length", 8, 1024)) == (1, True)
    assert office.me(office.key("another horse")) == 200


def test_a_rotated_key_is_the_only_one(office: Office) -> None:
    old = office.key()
    new = office.farm("rotate-key", EMAIL).stdout.splitlines()[-1]
    assert (office.me(old), office.me(new)) == (401, 200)
    assert office.users()[0]["keys"] == ["rotated"]


def test_every_command_finds_a_user_by_any_spelling_of_the_address(office: Office) -> None:
    composed, decomposed = "zo\u00eb@example.com", "ZOE\u0308@example\uff0ecom"
    added = office.farm("add", decomposed, "--password-stdin", given=PASSWORD)
    # The letter with its mark is no letter from A to Z, and stays a capital.
    assert says(added.stdout, "account-with-credits-access-key", "zo\u00cb@example.com")
    again = office.farm("add", "zo\u00cb@example.com")
    assert (again.returncode, says(again.stderr, "account-exists")) == (1, True)
    added = office.farm("add", composed)
    assert says(added.stdout, "account-with-credits-access-key", "zo\u00eb@example.com")
    lower = "Zoe\u0308@example\uff0ecom"
    for command in (
        ("show", lower),
        ("plan", lower, "Standard"),
        ("role", lower, "admin"),
        ("emails", lower, "off"),
        ("machine", lower, "--cpu", ""),
        ("disable", lower),
        ("enable", lower),
        ("password", lower, "--password-stdin"),
        ("rotate-key", lower),
    ):
        done = office.farm(*command, given=PASSWORD)
        assert done.returncode == 0, (command, done.stderr)
    for noun, *more in (
        ("credits", "move", lower, "5", "--reason", "a gift"),
        ("credits", "show", lower),
        ("credits", "history", lower),
        ("jobs", "list", "--user", lower),
    ):
        done = office.farm(*more, noun=noun)
        assert done.returncode == 0, (more, done.stderr)
    (found,) = [each for each in office.users() if each["email"] == composed]
    assert (found["role"], found["email_notices"]) == ("admin", False)


def test_plan_role_and_emails(office: Office) -> None:
    plan = ("set", "Small", "--job-throughput-limit", "2", "--max-throughput", "3")
    changed = office.farm(*plan, noun="plans").stdout
    assert says(changed, "instances-job-user-stored-being", "Small", 2, 3)
    assert says(office.farm("plan", EMAIL, "Small").stdout, "user-has-plan", EMAIL, "Small")
    assert says(office.farm("role", EMAIL, "admin").stdout, "user-has-role", EMAIL, "admin")
    assert says(office.farm("emails", EMAIL, "off").stdout, "user-gets-emails", EMAIL)
    told = office.farm("machine", EMAIL, "--cpu=local-cpu").stdout
    assert says(told, "user-machine-types", EMAIL, "local-cpu", saying("farms-default"))
    for wrong in ("--cpu=lcoal-cpu", "--gpu=local-cpu", f"--cpu={'x' * 101}"):
        refused = office.farm("machine", EMAIL, wrong)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"machine_{wrong[2:5]}: ")
        assert says(refused.stderr, "no-such-machine-type", wrong[6:])
    user = json.loads(office.farm("show", EMAIL, "--json").stdout)
    assert (user["plan"], user["role"], user["email_notices"]) == ("Small", "admin", False)
    assert (user["machine_cpu"], user["machine_gpu"]) == ("local-cpu", "")
    shown = office.farm("show", EMAIL).stdout
    assert says(shown, "instances-job-all", 2, 3)
    assert "0 bytes" in shown
    sized = office.farm(*plan, "--max-stored", "2GB", "--max-in-flight", "1.5MiB", noun="plans")
    assert says(sized.stdout, "instances-job-user-stored-being", "2.0 GB", "1.6 MB")
    assert "2.0 GB" in office.farm("show", EMAIL).stdout
    office.farm(*plan, "--max-stored", "0", noun="plans")
    assert "2.0 GB" not in office.farm("show", EMAIL).stdout
    wrong_size = office.farm(*plan, "--max-stored", "much", noun="plans")
    assert wrong_size.returncode == 1
    assert says(wrong_size.stderr, "not-size-write-one-such", "much")
    key = office.key()
    headers = {"Authorization": f"Bearer {key}"}
    me = httpx.get(f"{office.url}/v1/me", headers=headers, timeout=60).json()
    assert (me["service_plan"], me["max_throughput"]) == ("Small", 3)
    users = httpx.get(f"{office.url}/v1/users", headers=headers, timeout=60).json()["users"]
    assert users == [user | {"keys": ["first key", "Envoy"]}]
    unknown = office.farm("plan", EMAIL, "Gold")
    assert (unknown.returncode, "'Small', 'Standard'" in unknown.stderr) == (1, True)


def test_programs_get_json(office: Office) -> None:
    def read(*arguments: str, noun: str = "users", given: str = "") -> Any:
        return json.loads(office.farm(*arguments, "--json", noun=noun, given=given).stdout)

    limits = ("--job-throughput-limit", "2", "--max-throughput", "3")
    plans = read("set", "Small", *limits, noun="plans")
    assert ("Small", 3) in [(plan["name"], plan["max_throughput"]) for plan in plans]
    bob = "bob@example.com"
    made = read("add", bob, "--credits", "5")
    assert (made["user"]["email"], made["user"]["available"]) == (bob, "5")
    assert office.me(made["access_key"]) == 200
    assert read("plan", bob, "Small")["plan"] == "Small"
    assert read("role", bob, "admin")["role"] == "admin"
    assert not read("emails", bob, "off")["email_notices"]
    assert read("machine", bob, "--cpu=local-cpu")["machine_cpu"] == "local-cpu"
    assert not read("disable", bob)["active"]
    assert read("enable", bob)["active"]
    key = read("rotate-key", bob)["access_key"]
    assert office.me(key) == 200
    changed = read("password", bob, "--password-stdin", given=PASSWORD)
    assert (changed["has_password"], changed["keys"]) == (True, [])
    read("plan", bob, "Standard")
    assert [plan["name"] for plan in read("remove", "Small", noun="plans")] == ["Standard"]


def test_plans_are_shown_and_removed(office: Office) -> None:
    office.farm(
        "set", "Small", "--job-throughput-limit", "2", "--max-throughput", "3", noun="plans"
    )
    plans = json.loads(office.farm("list", "--json", noun="plans").stdout)
    assert [(plan["name"], plan["users"]) for plan in plans] == [("Small", 0), ("Standard", 1)]
    assert plans[0]["name"] in office.farm("list", noun="plans").stdout
    wrong = ("set", "Small", "--job-throughput-limit", "0", "--max-throughput", "3")
    refused = office.farm(*wrong, noun="plans").stderr
    assert refused.startswith("job_throughput_limit: ")
    assert says(refused, "not-limit-give-1-instances", 0)
    assert office.farm("remove", "Small", noun="plans").stdout == saying("plan-removed", "Small")
    used = office.farm("remove", "Standard", noun="plans")
    assert (used.returncode, says(used.stderr, "standard-plan-stays")) == (1, True)


@pytest.mark.parametrize("command", ["disable", "enable", "rotate-key"])
def test_an_unknown_user_is_told(office: Office, command: str) -> None:
    done = office.farm(command, "nobody@example.com")
    assert done.returncode == 1
    assert done.stderr == saying("no-user", "nobody@example.com")
