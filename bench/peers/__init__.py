"""What Tidings is compared with. Each peer is started alone, on one core, as its documentation says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Server:
    """A running peer, as the load sees it.

    pids       its processes: their CPU time and memory is what is measured
    port       where clients connect
    opening    what a client of an account sends: an upgrade with credentials, and once that is answered a subscription
    opened     what is in the answer once the client is subscribed
    publishing where changes are published
    admin      its admin port, where it has one
    hello      what the connection that publishes begins with
    changes    what it sends to publish one change to each of these accounts, all with one state
    """

    pids: tuple[int, ...]
    port: int
    opening: Callable[[str], tuple[bytes, bytes]]
    opened: bytes
    publishing: int
    changes: Callable[[Sequence[str], str], bytes]
    hello: bytes = b""
    admin: int = 0


class Peer(Protocol):
    """Something that can push a change to clients. `few` and `many`: connections between which memory is measured."""

    name: str
    few: int
    many: int

    def missing(self) -> str | None:
        """What keeps it from running here, or None."""

    def running(self) -> AbstractContextManager[Server]:
        """Start it on the cores this thread may use; it has ended afterwards, whatever happens."""


def upgrade(path: str, *fields: str) -> bytes:
    """A WebSocket upgrade request."""
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        *fields,
    )
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def post(path: str, body: bytes, *fields: str) -> bytes:
    """A POST on a connection that is kept."""
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *fields)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def state_change(account: str, state: str) -> bytes:
    """The message that every peer pushes: the StateChange that Tidings tells, less its cursor."""
    changed = {"@type": "StateChange", "changed": {account: {"Email": state}}}
    return json.dumps(changed, separators=(",", ":")).encode()
