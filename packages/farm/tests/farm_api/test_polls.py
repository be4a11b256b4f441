"""One account that waits for news on every connection that there is."""

import select
import selectors
import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
from answers import heard
from farm.api.polls import MOST_POLLS
from http_gate.connections import Limits
from http_gate.descriptors import raise_limit

from .conftest import Farm, send, spec


def poll(farm: Farm, client: httpx.Client) -> socket.socket:
    """Begin to wait for news."""
    address = urlsplit(farm.url)
    made = socket.create_connection((address.hostname, address.port), 60)
    key = client.headers["authorization"]
    head = f"GET /v1/changes?wait=30 HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n"
    made.sendall(head.encode())
    return made


def until_seen(polls: list[socket.socket]) -> None:
    """Wait until the farm has seen whose so many polls are: most have got an answer of some kind.

    It closes the connections of an account for others, but not those of nobody knows whom.
    """
    with selectors.DefaultSelector() as unanswered:
        for each in polls:
            unanswered.register(each, selectors.EVENT_READ)
        while len(unanswered.get_map()) > MOST_POLLS:
            answered = unanswered.select(60)
            assert answered
            for key, _ in answered:
                unanswered.unregister(key.fileobj)


def test_polls_of_one_account_shut_out_nobody(farm: Farm) -> None:
    raise_limit()
    greedy, other = farm.user("greedy@example.com", credits="0"), farm.user("ann@example.com")
    with ExitStack() as stack:
        polls = [stack.enter_context(poll(farm, greedy)) for _ in range(Limits().connections + 50)]
        until_seen(polls)
        # Each on a new connection, which must be let in.
        for _ in range(3):
            answer = httpx.get(f"{farm.url}/v1/me", headers=other.headers, timeout=60)
            assert answer.status_code == 200, answer.text


def test_the_oldest_poll_of_too_many_is_answered_and_the_others_hear_the_news(farm: Farm) -> None:
    ann, bob = farm.user("ann@example.com"), farm.user("bob@example.com")
    with ExitStack() as stack:
        of_bob = stack.enter_context(poll(farm, bob))
        of_ann = [stack.enter_context(poll(farm, ann)) for _ in range(MOST_POLLS + 1)]
        answered, _, _ = select.select([of_bob, *of_ann], [], [], 20)
        assert len(answered) == 1
        assert answered[0] in of_ann
        assert heard(answered[0], b'"jobs":[]')
        send(ann, "demo/scene.blend", b"scene")
        ann.post("/v1/submissions", json=spec()).raise_for_status()
        for each in of_ann:
            if each is not answered[0]:
                assert heard(each, b'"beauty"')
        assert select.select([of_bob], [], [], 0)[0] == []
