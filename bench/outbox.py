"""The PostgreSQL outbox: how fast rows get through to the log, and how long one takes to its client."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import psycopg

from bench.report import Row
from bench.wire import connect, frames
from tests.support.broker import Broker
from tests.support.metrics import Scrape
from tests.support.postgres import Postgres
from tests.support.processes import Tidings, tidings

ROWS = 60_000
ACCOUNTS = 2_000
AT_ONCE = 1_000
WARM_ROWS = 5_000
"""Told before the clock runs: the first ones wait for connections."""
LATENCY_ROWS = 200
POLL_SECONDS = 0.02
MOST_SECONDS = 120.0
FILL = """
    INSERT INTO tidings_outbox (account, type, changed)
    SELECT 'user' || mod(i, %s) || '@mail.example', 'FlagsSet', jsonb_build_object('Email', i::text)
    FROM generate_series(%s::int, %s::int) AS i
"""
INSERT = "INSERT INTO tidings_outbox (account, type, changed) VALUES ('alice', 'FlagsSet', %s)"


def _told(publisher: Tidings) -> float:
    scrape = Scrape(httpx2.get(publisher.url("probe", "/metrics")).text)
    return scrape.by("tidings_source_events_total", "source").get("postgres", 0.0)


def _throughput(broker: Broker, postgres: Postgres, directory: Path) -> float:
    """Rows a second from an outbox that is full, each confirmed by the log and deleted."""
    url = postgres.fresh_url()
    with psycopg.connect(url, autocommit=True) as db:
        for begun in range(0, ROWS, AT_ONCE):
            db.execute(FILL, (ACCOUNTS, begun, begun + AT_ONCE - 1))
        flags = ("--bus", broker.fresh_url(), "--postgres-url", url, "--state-dir", str(directory))
        with tidings("publisher", *flags) as publisher:
            deadline = time.monotonic() + MOST_SECONDS
            while (first := _told(publisher)) < WARM_ROWS:
                time.sleep(POLL_SECONDS)
            start = time.monotonic()
            while (count := _told(publisher)) < ROWS:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{count:,.0f} of {ROWS:,} rows within {MOST_SECONDS:.0f} s")
                time.sleep(POLL_SECONDS)
            rate = (ROWS - first) / (time.monotonic() - start)
        left = db.execute("SELECT count(*) FROM tidings_outbox").fetchone()
    if left != (0,):
        raise RuntimeError(f"{left} rows were told and are still there")
    return rate


def _next_state(client: socket.socket) -> str:
    while True:
        for opcode, payload in frames(client.recv(65536)):
            changed = json.loads(payload)["changed"] if opcode == 1 else {}
            if changed:
                return str(changed["alice"]["Email"])


def _latencies(postgres: Postgres, directory: Path) -> list[float]:
    """Seconds from before the INSERT until the client has read of it, ascending."""
    url = postgres.fresh_url()
    taken = []
    flags = ("--maildir", str(directory / "mail"), "--state-dir", str(directory / "state"), "--coalesce-ms", "0")
    with tidings("up", *flags, "--postgres-url", url) as up, psycopg.connect(url, autocommit=True) as db:
        client = connect(up.ports["gateway"], "account=alice")
        client.settimeout(MOST_SECONDS)
        for number in range(LATENCY_ROWS):
            start = time.monotonic()
            db.execute(INSERT, (json.dumps({"Email": f"s{number}"}),))
            while _next_state(client) != f"s{number}":
                pass
            taken.append(time.monotonic() - start)
            time.sleep(0.02)
    return sorted(taken)


def measure() -> list[Row]:
    """Rows to the log a second, and from an INSERT to a client."""
    with TemporaryDirectory() as directory, Postgres(()) as postgres:
        with Broker() as broker:
            rate = _throughput(broker, postgres, Path(directory) / "rate")
        latencies = _latencies(postgres, Path(directory))
    middle, late = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    return [
        Row(
            f"rows of a PostgreSQL outbox to the log, {ROWS:,} of {ACCOUNTS:,} accounts",
            f"{rate:,.0f} /s",
            ">= 5,000 /s",
        ),
        Row("INSERT into the outbox to the client, p50 / p99", f"{middle:.1f} / {late:.1f} ms", "-"),
    ]
