"""What the past costs a gateway: bytes for each change in a window, beside those of the log entries; CPU to keep it."""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from collections.abc import Sequence
from secrets import token_bytes
from typing import NamedTuple
from uuid import uuid4

from bench.report import Row
from tidings.gateway.feeds.windows import Windows
from tidings.ops.budget import Budget
from tidings.wire import batch
from tidings.wire.change import DATA_TYPES, Change
from tidings.wire.cursor import Position, check_of

CHANGES = 20_000
PER_ENTRY = (1, 4, 25)
ACCOUNTS = 50_000
SECONDS = 300.0
RUNS = 5
LOOKS = 1_000


class Cost(NamedTuple):
    """For each change: bytes kept, bytes counted, CPU seconds to decode and keep it. CPU seconds of an answer."""

    kept: float
    counted: float
    seconds: float
    answer: float


def _account(number: int) -> str:
    return f"user{number}@mail.example"


def _change(states: bool) -> Change:
    event = random.choice(("MessageNew", "FlagsSet", "MessageExpunge"))
    changed: dict[str, str | None] = {
        name: f"{random.getrandbits(32):08x}" if states else None for name in DATA_TYPES[event]
    }
    now = time.time()
    return Change(_account(random.randrange(ACCOUNTS)), changed, event, str(uuid4()), "/mail/store", now, now)


def _entries(per_entry: int, states: bool) -> list[bytes]:
    return [
        batch.encode(token_bytes(batch.ID_BYTES), 0.0, tuple(_change(states) for _ in range(per_entry)))
        for _ in range(CHANGES // per_entry)
    ]


def _kept(windows: Windows, entries: Sequence[bytes]) -> float:
    """CPU seconds to keep these, as a feed does, as if they came within the time that a window holds."""
    window = windows.open(SECONDS)
    start = time.thread_time()
    for offset, payload in enumerate(entries):
        found = batch.decode(payload)
        window.append(Position(offset, check_of(found.id)), SECONDS * offset / len(entries), found.changes)
    return time.thread_time() - start


def _answer(entries: Sequence[bytes]) -> float:
    """CPU seconds of the answer that nothing was missed, to one who was told up to the oldest batch."""
    window = Windows(Budget().account("windows")).open(SECONDS)
    for offset, payload in enumerate(entries):
        window.append(Position(offset, bytes(4)), SECONDS * offset / len(entries), batch.decode(payload).changes)
    since = Position(0, bytes(4))
    start = time.thread_time()
    for number in range(LOOKS):
        window.find(since)
        window.missed(_account(ACCOUNTS + number), since)
    return (time.thread_time() - start) / LOOKS


def _cost(entries: Sequence[bytes]) -> Cost:
    seconds = min(_kept(Windows(Budget().account("windows")), entries) for _ in range(RUNS))
    answer = min(_answer(entries) for _ in range(RUNS))
    windows = Windows(Budget().account("windows"))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        _kept(windows, entries)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return Cost(kept / CHANGES, windows.bytes / CHANGES, seconds / CHANGES, answer)


def _row(per_entry: int, states: bool) -> Row:
    entries = _entries(per_entry, states)
    cost = _cost(entries)
    encoded = sum(map(len, entries)) / CHANGES
    return Row(
        f"a change in a window, {per_entry} an entry, {'with' if states else 'without'} states of the storage's",
        f"{cost.kept:.0f} B, counted as {cost.counted:.0f} ({cost.kept / encoded:.2f} x)",
        "at most 64 B",
        f"log entry: {encoded:.0f} B. CPU to decode and keep it {cost.seconds * 1e6:.1f} us, to answer that nothing "
        f"was missed in five minutes {cost.answer * 1e6:.1f} us",
    )


def measure() -> list[Row]:
    """Bytes for each change that is kept, for batches of several sizes."""
    return [_row(per_entry, states) for states in (False, True) for per_entry in PER_ENTRY]
