"""An IMAP server that is listened to: how soon a client is told of a delivery, with many accounts on one Dovecot."""

from __future__ import annotations

import selectors
import smtplib
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from bench.report import Row
from bench.usage import cpu_seconds
from bench.wire import connect, frames
from tests.support.imap_server import MASTER, MASTER_PASSWORD, MESSAGE, Dovecot
from tests.support.metrics import Scrape
from tests.support.processes import Tidings, tidings
from tests.support.tls import make_certificate

VERSION = "2.4"
ACCOUNTS = 200
ROUNDS = 20
AT_ONCE = 20
"""Deliveries of one round, each to another account."""
PAUSE_SECONDS = 1.0
IDLE_SECONDS = 10.0
MOST_SECONDS = 120.0
IDLING = "IMAP4rev1 SASL-IR ENABLE IDLE LIST-EXTENDED LIST-STATUS CONDSTORE"


def _connections(up: Tidings) -> float:
    return Scrape(httpx2.get(up.url("probe", "/metrics")).text).value("tidings_publisher_imap_connections")


def _wait(up: Tidings) -> float:
    """Seconds until all accounts are listened to."""
    start = time.monotonic()
    while _connections(up) < ACCOUNTS:
        if time.monotonic() - start > MOST_SECONDS:
            raise TimeoutError(f"{_connections(up):.0f} of {ACCOUNTS} accounts within {MOST_SECONDS:.0f} s")
        time.sleep(0.05)
    return time.monotonic() - start


def _round(server: Dovecot, users: Sequence[str], clients: Mapping[str, socket.socket]) -> list[float]:
    """Seconds from the answer to a delivery until its client has read of it."""
    delivered: dict[str, float] = {}
    taken: list[float] = []
    with selectors.DefaultSelector() as selector, smtplib.LMTP("127.0.0.1", server.lmtp_port) as lmtp:
        for user in users:
            selector.register(clients[user], selectors.EVENT_READ, user)

        def read(seconds: float) -> None:
            for key, _ in selector.select(seconds):
                told = any(b'"Email"' in payload for _, payload in frames(clients[key.data].recv(65536)))
                if told and key.data in delivered:
                    # Told before the answer has been read is told at once.
                    taken.append(max(0.0, time.monotonic() - delivered[key.data]))
                    selector.unregister(clients[key.data])

        for user in users:
            lmtp.sendmail("zoe@mail.example", [user], MESSAGE)
            delivered[user] = time.monotonic()
            read(0)
        deadline = time.monotonic() + MOST_SECONDS
        while selector.get_map():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(selector.get_map())} clients were not told within {MOST_SECONDS:.0f} s")
            read(1.0)
    return taken


def _measured(what: str, capabilities: str, target: str) -> list[Row]:
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        certificate = make_certificate(directory)
        users = [f"user{number}" for number in range(ACCOUNTS)]
        accounts = directory / "accounts"
        accounts.write_text(f"master {MASTER} password='{MASTER_PASSWORD}'\n" + "\n".join(users))
        # Nobody here answers pings.
        unpinged = ("--coalesce-ms", "0", "--ping-seconds", "600")
        flags = ("--maildir", str(directory / "mail"), "--state-dir", str(directory / "state"), *unpinged)
        with (
            Dovecot(VERSION, directory / "imap", users, certificate, capabilities=capabilities) as server,
            tidings("up", *flags, "--imap-url", server.url(), "--imap-accounts", str(accounts)) as up,
        ):
            began = _wait(up)
            before = cpu_seconds([up.pid])
            time.sleep(IDLE_SECONDS)
            idle = (cpu_seconds([up.pid]) - before) / IDLE_SECONDS
            clients = {user: connect(up.ports["gateway"], f"account={user}") for user in users}
            taken: list[float] = []
            for turn in range(ROUNDS):
                some = [users[(turn * AT_ONCE + number) % ACCOUNTS] for number in range(AT_ONCE)]
                taken += _round(server, some, clients)
                time.sleep(PAUSE_SECONDS)
            for client in clients.values():
                client.close()
    taken.sort()
    middle, late = (taken[int(len(taken) * share)] * 1000 for share in (0.5, 0.99))
    return [
        Row(f"LMTP reply to client, {ACCOUNTS} accounts by {what}, p50 / p99", f"{middle:.0f} / {late:.0f} ms", target),
        Row(f"{ACCOUNTS} accounts by {what}: until all are listened to", f"{began:.1f} s", "-"),
        Row(f"{ACCOUNTS} accounts by {what}: CPU while nothing happens", f"{idle:.1%} of a core", "-"),
    ]


def measure() -> list[Row]:
    """With NOTIFY, and with IDLE."""
    return [*_measured("NOTIFY", "", "p99 < 1,000 ms"), *_measured("IDLE", IDLING, "-")]
