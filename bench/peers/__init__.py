"""What Tidings is compared with. Each peer is started alone, on one core, as its documentation says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bench.installing import InstallError


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
    heartbeat  a message that clients have to answer, and the answer: a ping of its own beside that of WebSockets
    beside     what takes part in a push and is no server of clients: its processes by name, on the load's core
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
    heartbeat: tuple[bytes, bytes] | None = None
    beside: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Peer(Protocol):
    """Something that can push a change to clients. `does`: what of a push it does, and what it leaves out."""

    name: str
    does: str

    def missing(self) -> str | None:
        """What keeps it from running here, or None. What can be installed is installed, into a cache."""

    def running(self) -> AbstractContextManager[Server]:
        """Start it on the cores this thread may use; it has ended afterwards, whatever happens."""


def absent(install: Callable[[], object]) -> str | None:
    """Why this cannot be installed, or None once it is."""
    try:
        install()
    except InstallError as error:
        return f"missing: {error}"
    return None


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
