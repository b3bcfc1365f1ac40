"""The count of `tidings check` while an installation suffers one fault after the other."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.faults.installation import SHARDS, Installation, installed
from tests.faults.outbox import Seen, disorder
from tests.faults.schedule import Step
from tests.support.broker import Broker
from tests.support.gateway import SECRET
from tests.support.postgres import Postgres
from tidings.bus.rabbitmq import RabbitMQLog
from tidings.check import counting
from tidings.check.counting import Load, Report
from tidings.check.readback import read_back
from tidings.check.settings import CheckSettings

ACCOUNTS = 24
CLIENTS = 48
RATE = 60.0
SETTLE_SECONDS = 60.0
RECOVERY_SECONDS = 3.0
"""After the last fault, so that not everything that follows is recovery."""


@dataclass(frozen=True)
class Outcome:
    """What the check counted, what the gateways did, and what the services logged that they should not have."""

    report: Report
    gateways: Counter[tuple[str, str]]
    complaints: list[str]
    disorder: list[str]
    """Changes of the outbox that are behind later ones in the log."""

    def __str__(self) -> str:
        lines = [f"{name} {label:18}{count:>8,}" for (name, label), count in sorted(self.gateways.items()) if count]
        return "\n".join([str(self.report), "gateways:", *lines, *self.complaints, *self.disorder])


async def count_under_faults(
    broker: Broker,
    postgres: Postgres,
    directory: Path,
    steps: Iterable[Step],
    seed: int,
    say: Callable[[str], None],
) -> Outcome:
    """Bring about one step after the other, while changes are told and clients wander; then judge by the log."""
    began = time.time()
    async with installed(broker, postgres, directory) as installation:
        settings = CheckSettings.model_validate(
            {
                "ingest_url": [publisher.url for publisher in installation.publishers],
                "gateway_url": [gateway.url for gateway in installation.gateways],
                "accounts": ACCOUNTS,
                "jwt_secret": SECRET,
            }
        )
        seen = Seen(settings, installation.outbox)
        report = await counting.count(
            seen,
            Load(CLIENTS, RATE, SETTLE_SECONDS, seed),
            partial(_bring_all, installation, steps, say),
            RabbitMQLog(installation.bus, SHARDS),
            say,
        )
        for gateway in installation.gateways:
            await installation.count(gateway)
        order = await read_back(RabbitMQLog(installation.bus, SHARDS), report.ledger, began)
    behind = list(disorder(order, seen.accounts_of_outbox()))
    return Outcome(report, installation.counted, _complaints(installation), behind)


async def _bring_all(installation: Installation, steps: Iterable[Step], say: Callable[[str], None]) -> None:
    for step in steps:
        await asyncio.sleep(step.pause)
        began = time.monotonic()
        await installation.bring(step)
        say(f"{step.fault.value}: over after {time.monotonic() - began:.1f} s")
    await asyncio.sleep(RECOVERY_SECONDS)


def _complaints(installation: Installation) -> list[str]:
    """Faults of our own, and what is no log event: a broker that fails is a warning."""
    lives = [life for process in installation.processes for life in process.lives]
    faults = [json.dumps(event) for life in lives for event in life.logs if event["level"] in ("error", "critical")]
    return faults + [line for life in lives for line in life.stray]
