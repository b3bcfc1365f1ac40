"""Centrifugo: a channel for each account, subscribed by the connection's token, without and with a history."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final

import jwt

from bench.installing import go_installed
from bench.peers import Server, absent, post, upgrade
from bench.peers.process import serving
from bench.tokens import SECRET
from tests.support.frames import masked
from tests.support.ports import free_ports

MODULE: Final = "github.com/centrifugal/centrifugo/v6"
VERSION: Final = "v6.9.1"
KEY: Final = "bench"
BUFFERS: Final = {"use_write_buffer_pool": True, "read_buffer_size": 512, "write_buffer_size": 512}
"""What its documentation gives for many connections that say little."""
HISTORY: Final = MappingProxyType({"history_size": 10, "history_ttl": "300s", "force_recovery": True})


def _program() -> Path:
    return go_installed(MODULE, VERSION)


def _opening(account: str) -> tuple[bytes, bytes]:
    claims = {"sub": account, "exp": int(time.time()) + 3600, "channels": [account]}
    connect = {"id": 1, "connect": {"token": jwt.encode(claims, SECRET, "HS256")}}
    return upgrade("/connection/websocket"), masked(1, json.dumps(connect).encode())


def _changes(accounts: Sequence[str], state: str) -> bytes:
    commands = [
        {"publish": {"channel": name, "data": {"@type": "StateChange", "changed": {name: {"Email": state}}}}}
        for name in accounts
    ]
    body = json.dumps({"commands": commands}, separators=(",", ":")).encode()
    return post("/api/batch", body, f"X-API-Key: {KEY}", "Content-Type: application/json")


class Centrifugo:
    """Version 6, engine in memory."""

    name = "Centrifugo 6"
    does = "HS256 token, pings; no history, so that whoever reconnects has missed what came meanwhile"
    channel: Mapping[str, object] = MappingProxyType({})

    def missing(self) -> str | None:
        """Go, or its modules."""
        return absent(_program)

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it with buffers as small as its documentation advises."""
        (port,) = free_ports(1)
        configuration = {
            "http_server": {"address": "127.0.0.1", "port": port},
            "log": {"level": "error"},
            "client": {"token": {"hmac_secret_key": SECRET}},
            "http_api": {"key": KEY},
            "websocket": BUFFERS,
            "channel": {"without_namespace": dict(self.channel)},
            "usage_stats": {"disabled": True},
        }
        with TemporaryDirectory() as home:
            path = Path(home) / "config.json"
            path.write_text(json.dumps(configuration))
            command = (str(_program()), "--config", str(path))
            with serving(command, port, Path(home) / "output") as process:
                heartbeat = (b"\x81\x02{}", masked(1, b"{}"))
                yield Server((process.pid,), port, _opening, b'"connect":{', port, _changes, heartbeat=heartbeat)


class CentrifugoHistory(Centrifugo):
    """What comes nearest to a cursor."""

    name = "Centrifugo 6, history and recovery"
    does = "as before, with ten changes kept for five minutes and each client's position watched"
    channel = HISTORY
