"""Who guesses at an account through Envoy does not shut its artist out of it. Real processes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .conftest import PASSWORD, Studio

EMAIL = "bob@example.com"


def sign_in(studio: Studio, secret: str) -> int:
    with httpx.Client(base_url=studio.url, timeout=60) as client:
        return client.post("/auth", json={"Username": EMAIL, "AccessKey": secret}).status_code


@pytest.mark.long
def test_an_artist_signs_in_while_others_guess_through_the_same_envoy(studio: Studio) -> None:
    key = studio.add_user(EMAIL)
    assert sign_in(studio, PASSWORD) == 200
    over, refused = threading.Event(), threading.Event()

    def guess() -> None:
        while not over.is_set():
            status = sign_in(studio, "a guess")
            assert status in (401, 429)
            if status == 429:
                refused.set()

    with ThreadPoolExecutor(8) as pool:
        guessing = pool.submit(guess)
        try:
            assert refused.wait(60)
            for _ in range(8):
                assert sign_in(studio, PASSWORD) == 200
            assert sign_in(studio, key) == 200
            # A script whose parts sign in by themselves.
            assert list(pool.map(lambda _: sign_in(studio, PASSWORD), range(7))) == [200] * 7
            # Nor has a guess signed the artist out.
            assert EMAIL in str(studio.get("/user-info"))
        finally:
            over.set()
        guessing.result()
