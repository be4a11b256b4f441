"""Requests whose answers nobody waits for."""

import json
import socket
from urllib.parse import urlsplit

import httpx


def posted(
    url: str, client: httpx.Client, path: str, body: object, method: str = "POST"
) -> socket.socket:
    """Send a request as this client; return its connection."""
    address = urlsplit(url)
    made = socket.create_connection((address.hostname, address.port), 60)
    content = json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: {client.headers['authorization']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    made.sendall(head.encode() + content)
    return made
