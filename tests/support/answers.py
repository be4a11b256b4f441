"""Answers that are read from sockets, in as many pieces as they come in."""

import re
import socket


def heard(made: socket.socket, wanted: bytes, so_far: bytes = b"") -> bytes:
    """Return what a connection has answered, as soon as that has ``wanted`` in it.

    A head and its body may come one after the other.
    """
    answer = so_far
    while wanted not in answer:
        piece = made.recv(1 << 16)
        assert piece, answer
        answer += piece
    return answer


def whole(made: socket.socket) -> bytes:
    """Return one answer of a connection that stays open: head and body, and nothing behind them."""
    head, _, body = heard(made, b"\r\n\r\n").partition(b"\r\n\r\n")
    size = re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
    assert size, head
    while len(body) < int(size[1]):
        piece = made.recv(int(size[1]) - len(body))
        assert piece, body
        body += piece
    return head + b"\r\n\r\n" + body
