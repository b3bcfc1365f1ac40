from __future__ import annotations

import pytest

from tidings.errors import ImapError
from tidings.publisher.sources.imap.pacing import DELAYS, Allowance, Slots, delay


@pytest.mark.parametrize("reason", DELAYS)
def test_delays_grow_to_their_bound(reason: str) -> None:
    first, most = DELAYS[reason]
    assert delay(reason, 1, 1.0) == first
    assert delay(reason, 1, 0.0) == first / 2
    assert delay(reason, 1_000, 1.0) == most
    assert delay(reason, 2, 1.0) == 2 * first


def test_turns_are_so_many_a_second() -> None:
    slots = Slots(10.0)
    assert [round(slots.take(5.0), 6) for _ in range(3)] == [0.0, 0.1, 0.2]
    assert slots.take(6.0) == 0.0


def test_a_flood_is_noticed() -> None:
    allowance = Allowance(3, 1.0)
    for _ in range(3):
        allowance.spend(10.0)
    with pytest.raises(ImapError, match="floods") as refused:
        allowance.spend(10.5)
    assert refused.value.reason == "protocol"
    allowance.spend(11.5)
    for _ in range(3):
        allowance.spend(100.0)


def test_what_was_asked_for_is_no_flood() -> None:
    allowance = Allowance(3, 1.0)
    allowance.give(2)
    for _ in range(5):
        allowance.spend(10.0)
    with pytest.raises(ImapError, match="floods"):
        allowance.spend(10.0)
