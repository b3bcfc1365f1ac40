"""What an attacker costs an honest client, and the process that is attacked: each attack of tests/hostile by itself."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.report import Row
from tests.hostile import wire
from tests.hostile.attacks import ATTACKS, Attack
from tests.hostile.honest import Times, slowest
from tests.hostile.rig import Installation
from tests.support.broker import Broker
from tests.support.cgroup import memory_cgroup
from tests.support.processes import Tidings, tidings

MIB = 2**20
LIMIT = 512 * MIB
QUIET_SECONDS = 3.0
ATTACK_SECONDS = 15.0
OF_PUBLISHER = ("types",)
"""Attacks on the ingest port; the others are on the gateway's."""


@contextmanager
def _installation(broker: Broker) -> Iterator[tuple[Installation, Tidings]]:
    """A publisher and a gateway; the gateway in a container of its own."""
    bus = {"TIDINGS_BUS": broker.fresh_url()}
    inside = {**bus, "TIDINGS_AUTH": "jwt", "TIDINGS_JWT_SECRET": wire.SECRET}
    with ExitStack() as stack:
        cgroup = stack.enter_context(memory_cgroup(LIMIT))
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        publisher = stack.enter_context(
            tidings("publisher", "--state-dir", str(state), env={**bus, "TIDINGS_INGEST_TOKENS": wire.INGEST_TOKEN})
        )
        program = (*cgroup.program, sys.executable, "-m", "tidings")
        gateway = stack.enter_context(tidings("gateway", env=inside, program=program))
        gateway.wait_connected()
        yield Installation(broker, publisher, gateway), gateway


def _milliseconds(seconds: list[float]) -> str:
    return f"{sorted(seconds)[len(seconds) // 2] * 1e3:.1f} / {slowest(seconds) * 1e3:.1f} ms"


def _said(times: Times) -> str:
    return f"connect {_milliseconds(times.connect)}, push {_milliseconds(times.push)}"


def _attack(broker: Broker, name: str) -> Row:
    with _installation(broker) as (installation, gateway):
        attacked = installation.publisher if name in OF_PUBLISHER else gateway
        port = installation.ingest_port if name in OF_PUBLISHER else installation.port
        with installation.honest() as honest:
            quiet = honest.measure(QUIET_SECONDS)
            before, cpu = wire.resident(attacked.pid), wire.cpu_seconds(attacked.pid)
            began = time.monotonic()
            with Attack(name, port):
                beside = honest.measure(ATTACK_SECONDS)
                during = wire.resident(attacked.pid)
                used = (wire.cpu_seconds(attacked.pid) - cpu) / (time.monotonic() - began)
        what = (ATTACKS[name].__doc__ or name).rstrip(".")
        return Row(
            what,
            f"{_said(beside)}; {(during - before) / MIB:+.0f} MiB, {used:.0%} of a core",
            "connect at most 100 ms",
            f"without it: {_said(quiet)} (median / second slowest)",
        )


def measure() -> list[Row]:
    """Each attack for 15 s, on a gateway in a container of 512 MiB, beside a client that connects and is pushed to."""
    with Broker(vhosts=len(ATTACKS)) as broker:
        return [_attack(broker, name) for name in ATTACKS if name != "again"]
