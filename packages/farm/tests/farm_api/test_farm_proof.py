"""A farm proves who it is to those who know its secret, and tells strangers nothing."""

from collections.abc import Callable

import httpx
import pytest
from farm_protocol.proof import Identity, new_secret

from .conftest import Farm


def prove(farm: Farm, identity: Identity, nonce: str) -> httpx.Response:
    asked = {"nonce": nonce, "proof": identity.callers_proof(nonce)}
    return httpx.post(f"{farm.url}/v1/proof", json=asked, timeout=60)


def test_who_knows_the_secret_gets_a_proof_of_it(farm: Farm) -> None:
    nonce = new_secret()
    answer = prove(farm, farm.identity, nonce)
    assert answer.json() == {"proof": farm.identity.farms_proof(nonce)}
    assert farm.identity.secret not in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        lambda right: Identity(right.url, right.folder, new_secret()),
        lambda right: Identity("http://127.0.0.1:1", right.folder, right.secret),
        lambda right: Identity(right.url, right.folder / "copy", right.secret),
    ],
    ids=["secret", "address", "folder"],
)
def test_others_get_none(farm: Farm, wrong: Callable[[Identity], Identity]) -> None:
    answer = prove(farm, wrong(farm.identity), new_secret())
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"


def test_a_farms_proof_is_none_of_a_caller(farm: Farm) -> None:
    """What the farm has answered cannot be used to ask it, or another Envoy."""
    nonce = new_secret()
    proof = prove(farm, farm.identity, nonce).json()["proof"]
    asked = {"nonce": nonce, "proof": proof}
    assert httpx.post(f"{farm.url}/v1/proof", json=asked, timeout=60).status_code == 403


def test_strangers_are_told_no_folder(farm: Farm) -> None:
    told = httpx.get(f"{farm.url}/v1/health", timeout=60).json()
    assert told == {"service": "farm", "version": "test"}
