"""What an entry of the log holds."""

from __future__ import annotations

from tidings.bus.log import Entry
from tidings.errors import BatchError
from tidings.wire import batch as batches
from tidings.wire.batch import Batch
from tidings.wire.cursor import Position, check_of


def read_entry(entry: Entry) -> tuple[Batch | BatchError, Position]:
    """The batch of a log entry, or why it is none; and its position, which it has in any case."""
    try:
        batch = batches.decode(entry.payload)
    except BatchError as error:
        return error, Position(entry.offset, check_of(entry.payload))
    return batch, Position(entry.offset, check_of(batch.id))
