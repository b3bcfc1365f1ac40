"""`tidings check` that counts for as long as its standard input is open, and then prints what it found."""

from __future__ import annotations

import asyncio
import json
import sys

from tidings.check.counting import Load, count
from tidings.check.installation import Installation
from tidings.check.ledger import Arrival
from tidings.check.settings import CheckSettings
from tidings.ops import logs
from tidings.ops.settings.common import parse

SEED = 7


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _until_told() -> None:
    _say("counting")
    await asyncio.to_thread(sys.stdin.read)


async def _count(settings: CheckSettings) -> None:
    load = Load(settings.clients, settings.rate, settings.timeout_seconds, SEED)
    report = await count(Installation(settings), load, _until_told, None, lambda line: None)
    changes = [change for each in report.ledger.changes.values() for change in each]
    found = {
        "acknowledged": sum(change.acknowledged is not None for change in changes),
        "lost": [str(loss) for loss in report.lost],
        "noticed": report.ledger.counts.resyncs[Arrival.LIVE],
        "table": str(report),
    }
    _say(json.dumps(found))


if __name__ == "__main__":
    logs.configure("auto", "warning")
    asyncio.run(_count(parse(CheckSettings, "counting", sys.argv[1:])))
