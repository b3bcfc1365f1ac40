"""Tidings itself: the gateway alone, as its log feeds it, and everything in one process."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from secrets import token_bytes
from tempfile import TemporaryDirectory

from bench.peers import Server, post, upgrade
from bench.tokens import SECRET, token
from bench.wire import SUBSCRIBE
from tests.support.processes import tidings
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.shard import DEFAULT_SHARDS, shard_of

INGEST_TOKEN = "token-of-the-bench"
OPENED = b'"pushState"'
"""In the first StateChange, from which on nothing is missed."""


def opening(account: str) -> tuple[bytes, bytes]:
    fields = (f"Authorization: Bearer {token(account)}", "Sec-WebSocket-Protocol: jmap")
    return upgrade("/jmap/ws", *fields), SUBSCRIBE


def _appended(accounts: Sequence[str], state: str) -> bytes:
    """One batch for each shard, as publishers append them."""
    shards: defaultdict[int, list[Change]] = defaultdict(list)
    for number, account in enumerate(accounts):
        change = Change(account, {"Email": state}, "FlagsSet", f"{state}-{number}", "bench")
        shards[shard_of(account, DEFAULT_SHARDS)].append(change)
    entries = bytearray()
    for shard, changes in shards.items():
        payload = batch.encode(token_bytes(batch.ID_BYTES), time.time(), tuple(changes))
        entries += shard.to_bytes(4, "big") + len(payload).to_bytes(4, "big") + payload
    return bytes(entries)


class Gateway:
    """The gateway's process, its log filled from a socket: what a core of gateways does, without the bus client."""

    name = "Tidings gateway"
    does = (
        "HS256 token, pings, deadlines, resume, slow clients bounded; batches come to the log in its process as the "
        "bus would deliver them: the client of the broker is left out"
    )

    def missing(self) -> str | None:
        """Nothing."""
        return None

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it with JWT and no coalescing."""
        flags = ("--auth", "jwt", "--coalesce-ms", "0")
        env = {"TIDINGS_JWT_SECRET": SECRET}
        with tidings("gateway", *flags, env=env, module="bench.peers.fed_gateway") as process:
            ports = process.ports
            yield Server(
                (process.pid,), ports["gateway"], opening, OPENED, ports["feeder"], _appended, admin=ports["admin"]
            )


def posted(accounts: Sequence[str], state: str) -> bytes:
    """CloudEvents in one request, as a mail storage sends them."""
    events = [
        {
            "specversion": "1.0",
            "id": f"{state}-{number}",
            "source": "bench",
            "type": "mail.FlagsSet",
            "subject": account,
            "data": {"changed": {"Email": state}},
        }
        for number, account in enumerate(accounts)
    ]
    fields = (f"Authorization: Bearer {INGEST_TOKEN}", "Content-Type: application/cloudevents-batch+json")
    return post("/v1/changes", json.dumps(events).encode(), *fields)


class Whole:
    """`tidings up`: ingest over HTTP, the log and the gateway in one process."""

    name = "Tidings, all in one process"
    does = "as the gateway, with CloudEvents validated, a Maildir watched and the webmail; the log is in memory"

    def __init__(self, flags: Sequence[str] = ("--coalesce-ms", "0")) -> None:
        self._flags = flags

    def missing(self) -> str | None:
        """Nothing."""
        return None

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it with JWT."""
        env = {"TIDINGS_JWT_SECRET": SECRET, "TIDINGS_INGEST_TOKENS": INGEST_TOKEN}
        with TemporaryDirectory() as state:
            flags = ("--maildir", f"{state}/mail", "--state-dir", state, "--auth", "jwt", *self._flags)
            with tidings("up", *flags, env=env) as process:
                ports = process.ports
                yield Server((process.pid,), ports["gateway"], opening, OPENED, ports["ingest"], posted)
