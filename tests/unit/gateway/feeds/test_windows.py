from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from tests.support.unmeasured import unmeasured
from tidings.gateway.feeds.window import Place, Window
from tidings.gateway.feeds.windows import Windows
from tidings.ops.budget import Budget
from tidings.wire import batch
from tidings.wire.change import Change
from tidings.wire.cursor import Position, check_of


def position(offset: int) -> Position:
    return Position(offset, check_of(bytes(16)))


def keep(window: Window, offset: int, at: float, *changes: Change) -> None:
    """Keep a batch as a feed does."""
    window.append(position(offset), at, batch.decode(batch.encode(bytes(16), 0.0, changes)).changes)


def change(account: str, **states: str | None) -> Change:
    return Change(account, states, "X", "1", "s")


def test_when_there_is_no_room_the_oldest_go_first_of_whichever_shard() -> None:
    account = Budget().account("windows", most=20_000)
    windows = Windows(account)
    one, two = windows.open(300.0), windows.open(300.0)
    for offset in range(1000):
        keep((one, two)[offset % 2], offset, float(offset), change(f"a{offset}", Email=None))
        assert windows.bytes <= 20_000
    # Both reach as far back, since both got as much.
    oldest = [
        min(offset for offset in range(1000) if window.find(position(offset)) is Place.INSIDE) for window in (one, two)
    ]
    assert abs(oldest[0] - oldest[1]) < 30
    # A shard that is busy takes the room of one that is not.
    for offset in range(1000, 2000):
        keep(one, offset, float(offset), change(f"a{offset}", Email=None))
    assert len(two) == 1
    assert two.position == position(999)
    assert len(one) > 40
    assert windows.cut > 0


def test_others_that_need_the_room_take_it_from_windows() -> None:
    budget = Budget(20_000)
    windows = Windows(budget.account("windows", 0.5))
    window = windows.open(300.0)
    for offset in range(1000):
        keep(window, offset, float(offset), change("a", Email=None))
    assert windows.bytes <= 10_000
    held = windows.bytes
    assert windows.make_room(2_000) >= 2_000
    assert windows.bytes <= held - 2_000
    budget.account("others").add(19_500)
    keep(window, 1000, 1000.0, change("a", Email=None))
    assert window.position == position(1000)
    assert len(window) == 1


def test_a_window_that_is_closed_gives_everything_back() -> None:
    windows = Windows(Budget().account("windows"))
    window, other = windows.open(300.0), windows.open(300.0)
    keep(window, 1, 1.0, change("a", Email=None))
    keep(other, 1, 1.0, change("a", Email=None))
    held = windows.bytes
    windows.close(window)
    windows.close(window)
    assert windows.bytes == held / 2
    assert windows.make_room(1) > 0, "only of what is open"


KINDS: dict[str, Callable[[int], Change]] = {
    "usual": lambda i: change(f"user{i}@example.org", Email=None, Mailbox=None, Thread=None, EmailDelivery=None),
    "32 types without states": lambda i: change(f"u{i}", **{f"T{k}": None for k in range(32)}),
    "32 types without states, again and again": lambda i: change(f"u{i % 8}", **{f"T{k}": None for k in range(32)}),
    "types that nobody has": lambda i: change(f"u{i}", **{f"T{i}-{k}".ljust(64, "x"): None for k in range(32)}),
    "states": lambda i: change(f"u{i}", **{f"T{k}": f"{i}-{k}".ljust(255, "s") for k in range(32)}),
    "wide states": lambda i: change(f"u{i}", **{f"T{k}": f"😀{i}-{k}".ljust(251, "s") for k in range(32)}),
    "wide accounts": lambda i: change(f"😀{i}".ljust(251, "a"), E=None),
    "one type": lambda i: change(f"{i}", E=None),
    "many domains": lambda i: change(f"user@{i}.example", Email="1", Mailbox="2", Thread="3"),
}


@pytest.mark.parametrize("asked", [False, True], ids=["kept", "asked for"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_window_takes_more_than_it_is_counted_as(kind: str, asked: bool) -> None:
    """What Python has allocated for it, by its own account."""
    windows = Windows(Budget().account("windows"))
    window, known = windows.open(300.0), windows.open(300.0)
    # What a process knows of kinds of changes is bounded, and shared by all windows: see test_packed.py.
    keep(known, 0, 0.0, *(KINDS[kind](number) for number in range(1000)))
    windows.close(known)
    gc.collect()
    tracemalloc.start()
    try:
        with unmeasured():
            before = tracemalloc.get_traced_memory()[0]
            for offset in range(100):
                changes = [KINDS[kind](10 * offset + index) for index in range(10)]
                keep(window, offset, float(offset), *changes)
            if asked:
                for index in range(1000):
                    window.missed(KINDS[kind](index).account, position(0))
            del changes
            gc.collect()
            taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken <= windows.bytes
    assert asked or windows.bytes <= 8 * taken, "not so generously that there is no window"
