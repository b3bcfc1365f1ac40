from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway.history import Pass, Seeker
from tidings.gateway.pending import ResyncReason
from tidings.gateway.told import Told
from tidings.wire.cursor import Position


def at(offset: int) -> Position:
    return Position(offset, bytes((0, 0, 0, offset % 251)))


def seeker(offset: int, *accounts: str) -> Seeker:
    return Seeker(accounts or ("alice",), at(offset))


def told(account: str, **states: str) -> Told:
    return Told(account, states, None)


def test_everybody_is_told_what_came_after_their_own_position() -> None:
    early, late, other = seeker(5), seeker(6), seeker(5, "bob")
    history = Pass([late, early, other])
    assert history.begin() == 5
    history.take(at(5), [told("alice", Email="5")])
    history.take(at(6), [told("alice", Email="6", Mailbox="6")])
    history.take(at(7), [told("alice", Email="7"), told("carol", Email="7")])
    assert set(history.end()) == {early, late, other}
    assert early.missed == {"alice": {"Email": "7", "Mailbox": "6"}}
    assert late.missed == {"alice": {"Email": "7"}}
    assert other.missed == {}
    assert early.position == late.position == other.position == at(7)


def test_whoever_comes_later_joins_a_pass_that_has_not_come_to_its_position() -> None:
    first, in_time, too_late = seeker(5), seeker(7), seeker(6)
    history = Pass([first])
    assert history.begin() == 5
    assert not history.join(seeker(4)), "what is read begins behind it"
    history.take(at(5), ())
    history.take(at(6), ())
    assert history.join(in_time)
    assert not history.join(too_late)
    history.take(at(7), ())
    history.take(at(8), [told("alice", Email="8")])
    assert history.end() == [first, in_time]
    assert in_time.missed == {"alice": {"Email": "8"}}


def test_who_was_not_come_to_stays_where_it_is() -> None:
    ahead = seeker(9)
    history = Pass([seeker(5), ahead])
    history.take(at(5), ())
    history.end()
    assert ahead.position == at(9)
    assert ahead.fault is None


@pytest.mark.parametrize(
    ("first", "since", "fault"),
    [
        (7, at(5), ResyncReason.EXPIRED),
        (7, Position(7, b"else"), ResyncReason.MISMATCH),
        (4, at(5), ResyncReason.MISMATCH),
    ],
    ids=["the log begins later", "another batch is there", "a hole"],
)
def test_a_position_that_is_not_in_the_log(first: int, since: Position, fault: ResyncReason) -> None:
    one = Seeker(("alice",), since)
    history = Pass([one])
    assert history.is_wanted
    history.take(at(first), ())
    history.take(at(first + 3), [told("alice", Email="1")])
    assert one.fault is fault
    assert one.missed == {}
    assert not history.is_wanted


def test_what_nobody_can_read_is_a_gap_for_those_before_it() -> None:
    before, behind = seeker(5), seeker(6)
    history = Pass([before, behind])
    history.take(at(5), ())
    history.spoil()
    history.take(at(6), ())
    history.take(at(7), [told("alice", Email="7")])
    history.end()
    assert before.fault is ResyncReason.GAP
    assert behind.fault is None
    assert behind.missed == {"alice": {"Email": "7"}}


def test_a_pass_for_nobody_is_not_wanted() -> None:
    one = seeker(5)
    history = Pass([one])
    one.gone = True
    assert not history.is_wanted
    assert history.end() == [one], "nothing came"


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("EM")), max_size=3), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=6),
)
def test_a_pass_tells_what_a_replay_would(batches: list[list[tuple[str, str]]], comers: list[tuple[int, int]]) -> None:
    """Each comes when the pass has taken so many entries, with a cursor of its own."""
    history, joined = Pass([seeker(0, "a", "b")]), []
    for offset, changes in enumerate(batches):
        joined += [
            (one, since)
            for when, since in comers
            if when == offset and since < len(batches) and history.join(one := seeker(since, "a"))
        ]
        history.take(at(offset), [Told(account, {name: str(offset)}, None) for account, name in changes])
    history.end()
    for one, since in joined:
        replayed = {
            name: str(offset)
            for offset, changes in enumerate(batches)
            if offset > since
            for account, name in changes
            if account == "a"
        }
        assert one.missed.get("a", {}) == replayed
