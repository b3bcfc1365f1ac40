from __future__ import annotations

from contextlib import aclosing

from tidings.bus.log import FromOffset
from tidings.bus.memory import MemoryLog
from tidings.bus.present import read_present
from tidings.errors import BatchError
from tidings.wire import batch
from tidings.wire.cursor import Position, check_of

ID = b"0123456789abcdef"


async def test_what_is_there_is_read_with_its_positions_and_then_the_read_ends() -> None:
    log = MemoryLog(1)
    await log.open()
    await log.append(0, batch.encode(ID, 1.0, ()))
    await log.append(0, b"nonsense")
    async with aclosing(read_present(log, 0, FromOffset(0))) as present:
        found = [entry async for entry in present]
    (first, at), (second, then), (marker, end) = found
    assert first == batch.Batch(batch.VERSION, ID, 1.0, ())
    assert isinstance(second, BatchError)
    assert isinstance(marker, batch.Batch)
    assert marker.is_marker
    assert (at, then) == (Position(0, check_of(ID)), Position(1, check_of(b"nonsense")))
    assert end.offset == 2
    await log.close()
