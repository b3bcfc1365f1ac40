"""Tidings itself: `tidings up`, the ingest included, on one core."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from bench.peers import Server, post, upgrade
from bench.tokens import SECRET, token
from bench.wire import SUBSCRIBE
from tests.support.processes import tidings

INGEST_TOKEN = "bench"


def _opening(account: str) -> tuple[bytes, bytes]:
    fields = (f"Authorization: Bearer {token(account)}", "Sec-WebSocket-Protocol: jmap")
    return upgrade("/jmap/ws", *fields), SUBSCRIBE


def _changes(accounts: Sequence[str], state: str) -> bytes:
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


class Tidings:
    """The whole of it in one process, changes pushed at once."""

    name = "Tidings"
    few, many = 1_000, 15_000

    def missing(self) -> str | None:
        """Nothing."""
        return None

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it with JWT and no coalescing."""
        env = {"TIDINGS_JWT_SECRET": SECRET, "TIDINGS_INGEST_TOKENS": INGEST_TOKEN}
        with TemporaryDirectory() as state:
            flags = ("--maildir", f"{state}/mail", "--state-dir", state, "--auth", "jwt", "--coalesce-ms", "0")
            with tidings("up", *flags, env=env) as process:
                ports = process.ports
                yield Server(
                    (process.pid,), ports["gateway"], _opening, b'"pushState"', ports["ingest"], _changes
                )
