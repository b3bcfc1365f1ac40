"""What a log holds of a shard now, and no more: a read, which has no end of its own, up to a marker."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from secrets import token_bytes

from tidings.bus.log import ChangeLog, Entry, Start
from tidings.errors import BatchError
from tidings.wire import batch as batches
from tidings.wire.batch import Batch


async def read_present(
    log: ChangeLog, shard: int, start: Start
) -> AsyncGenerator[tuple[Entry, Batch | BatchError], None]:
    """Yield the entries from `start` on that were there when this began, each with its batch or why it is none.

    The last is a marker that it appends, to know where the end is: of no account, it costs the log an entry. Close it
    (`aclose`) to detach earlier. Raises LogUnavailable and ReadLost.
    """
    marker = token_bytes(batches.ID_BYTES)
    await log.append(shard, batches.encode(marker, time.time(), ()))
    async with aclosing(log.read(shard, start)) as entries:
        async for entry in entries:
            try:
                batch = batches.decode(entry.payload)
            except BatchError as error:
                yield entry, error
                continue
            yield entry, batch
            if batch.id == marker:
                return
