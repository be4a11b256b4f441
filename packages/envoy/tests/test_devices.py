"""Whoever guesses through Envoy is a stranger to the farm, and the owner is not."""

import json
import stat
from pathlib import Path

from envoy.farm.devices import MOST, Devices
from envoy_fake_farm import DEVICE, EMAIL, PASSWORD, FakeFarm
from envoy_start import Start

TOKEN = "ab" * 32


def test_only_the_right_password_brings_the_token_back(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    devices = Devices(path, "http://farm.example")
    devices.keep("Ann@Example.com ", "right", TOKEN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TOKEN not in path.read_text()
    assert Devices(path, "http://farm.example").token("ann@example.com", "right") == TOKEN
    wrong = devices.token("ann@example.com", "wrong")
    # Nothing about it tells that the password was wrong.
    assert len(wrong) == len(TOKEN)
    assert wrong != TOKEN
    assert devices.token("bob@example.com", "right") == ""
    assert Devices(path, "http://other.example").token("ann@example.com", "right") == ""
    assert Devices(path, "").token("ann@example.com", "right") == ""


def test_a_newer_token_replaces_the_older_and_the_file_stays_small(tmp_path: Path) -> None:
    devices = Devices(tmp_path / "devices.json", "")
    for number in range(2 * MOST):
        devices.keep(f"user{number}@example.com", "right", TOKEN)
    devices.keep(f"user{2 * MOST - 1}@example.com", "new", "cd" * 32)
    assert devices.token(f"user{2 * MOST - 1}@example.com", "new") == "cd" * 32
    assert len(json.loads((tmp_path / "devices.json").read_text())) == MOST
    devices.keep("ann@example.com", "right", "not a token")
    assert devices.token("ann@example.com", "right") == ""


def test_each_farm_and_each_account_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    one, other = Devices(path, "http://one.example"), Devices(path, "http://other.example")
    tokens = {
        (farm, email): f"{n}a" * 32
        for n, (farm, email) in enumerate(
            (farm, email) for farm in (one, other) for email in ("ann@x.example", "bob@x.example")
        )
    }
    for (farm, email), token in tokens.items():
        farm.keep(email, "right", token)
    for (farm, email), token in tokens.items():
        assert farm.token(email, "right") == token
    assert len({each["masked"] for each in json.loads(path.read_text())}) == len(tokens)


def test_the_same_password_masks_a_token_anew(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    seen = set()
    for _ in range(3):
        Devices(path, "").keep("ann@example.com", "right", TOKEN)
        (kept,) = json.loads(path.read_text())
        seen.add((kept["salt"], kept["masked"]))
    assert len({salt for salt, _ in seen}) == len({masked for _, masked in seen}) == 3


def test_a_damaged_file_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    for text in ("", "{", "[1]", '[{"farm": "embedded", "email": "a", "salt": "x", "masked": ""}]'):
        path.write_text(text)
        assert Devices(path, "").token("a", "b") == ""
    Devices(path, "").keep("a", "b", TOKEN)
    assert Devices(path, "").token("a", "b") == TOKEN


async def test_the_right_password_shows_the_device_and_a_wrong_one_does_not(
    start: Start, farm: FakeFarm
) -> None:
    studio = await start()
    for password in (PASSWORD, "guess", PASSWORD, PASSWORD):
        await studio.http.post("/auth", json={"Username": EMAIL, "AccessKey": password})
    first, guess, *again = farm.devices
    assert first == ""
    # Also after the farm had no newer one to give.
    assert again == [DEVICE] * 2
    assert guess not in ("", DEVICE)
