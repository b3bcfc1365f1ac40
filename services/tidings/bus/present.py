"""What a log holds of a shard now, and no more: a read, which has no end of its own, up to a marker."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from secrets import token_bytes

from tidings.bus.entries import read_entry
from tidings.bus.log import ChangeLog, Start
from tidings.errors import BatchError
from tidings.wire import batch as batches
from tidings.wire.batch import Batch
from tidings.wire.cursor import Position


async def read_present(
    log: ChangeLog, shard: int, start: Start
) -> AsyncGenerator[tuple[Batch | BatchError, Position], None]:
    """Yield what the entries from `start` on hold that were there when this began: see `read_entry`.

    The last is a marker that it appends, to know where the end is: of no account, it costs the log an entry. Close it
    (`aclose`) to detach earlier. Raises LogUnavailable and ReadLost.
    """
    marker = token_bytes(batches.ID_BYTES)
    await log.append(shard, batches.encode(marker, time.time(), ()))
    async with aclosing(log.read(shard, start)) as entries:
        async for entry in entries:
            batch, position = read_entry(entry)
            yield batch, position
            if not isinstance(batch, BatchError) and batch.id == marker:
                return
