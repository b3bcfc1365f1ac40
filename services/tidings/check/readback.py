"""The log, read back: in which order it holds the changes of a run."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing
from typing import Final

from tidings.bus.log import ChangeLog, FromTime
from tidings.bus.present import read_present
from tidings.check.ledger import Key, Ledger
from tidings.errors import BatchError, CheckFailed, LogUnavailable, ReadLost
from tidings.wire.shard import shard_of

READ_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 0.5
EARLIER_SECONDS: Final = 60.0
"""Read from so long before the run: clocks differ."""


async def read_back(log: ChangeLog, ledger: Ledger, began: float) -> dict[Key, list[int]]:
    """The numbers of the run's changes in log order; `began` is when it did, in Unix seconds. Raises CheckFailed."""
    order: dict[Key, list[int]] = {}
    await log.open()
    try:
        async with asyncio.timeout(READ_SECONDS):
            for shard in sorted({shard_of(account, log.shards) for account in ledger.changes}):
                order |= await _read_shard(log, shard, ledger, began - EARLIER_SECONDS)
    except TimeoutError:
        raise CheckFailed(f"the change log could not be read back within {READ_SECONDS:g} s") from None
    finally:
        await log.close()
    return order


async def _read_shard(log: ChangeLog, shard: int, ledger: Ledger, since: float) -> dict[Key, list[int]]:
    while True:
        try:
            return await _present(log, shard, ledger, since)
        except (LogUnavailable, ReadLost):
            await asyncio.sleep(RETRY_SECONDS)


async def _present(log: ChangeLog, shard: int, ledger: Ledger, since: float) -> dict[Key, list[int]]:
    order: defaultdict[Key, list[int]] = defaultdict(list)
    async with aclosing(read_present(log, shard, FromTime(since))) as entries:
        async for batch, _ in entries:
            if isinstance(batch, BatchError):
                continue
            for change in batch.changes:
                for name, state in change.changed.items():
                    number = None if state is None else ledger.number(state)
                    if number is not None:
                        order[Key(change.account, name)].append(number)
    return order
