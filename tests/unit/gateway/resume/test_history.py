from __future__ import annotations

from sys import getrefcount

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.connections import seeker_of
from tidings.gateway.model.changes import ANYTHING, Told
from tidings.gateway.model.held import SMALL_BYTES, Held
from tidings.gateway.model.pending import MAX_PENDING_TYPES, ResyncReason
from tidings.gateway.resume.history import START_SECONDS, Pass, Seeker
from tidings.ops.budget import Budget
from tidings.wire.cursor import Position


def at(offset: int) -> Position:
    return Position(offset, bytes((0, 0, 0, offset % 251)))


def seeker(offset: int, *accounts: str) -> Seeker:
    return seeker_of(at(offset), *accounts)


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
    one = seeker_of(since)
    history = Pass([one])
    assert history.is_wanted
    history.take(at(first), ())
    history.take(at(first + 3), [told("alice", Email="1")])
    assert one.fault is fault
    assert one.missed == {}
    assert not history.is_wanted


def test_that_anything_may_have_changed_is_heard_whatever_the_types() -> None:
    narrow = seeker(5)
    narrow.types = frozenset({"Quota"})
    history = Pass([narrow])
    history.take(at(5), ())
    history.take(at(6), [Told("alice", {ANYTHING: "6"}, None)])
    assert narrow.missed == {"alice": {ANYTHING: "6"}}


def test_what_nobody_can_read_is_a_gap_for_those_before_it() -> None:
    before, behind = seeker(5), seeker(6)
    history = Pass([before, behind])
    history.take(at(5), ())
    history.spoil(ResyncReason.GAP)
    history.take(at(6), ())
    history.take(at(7), [told("alice", Email="7")])
    history.end()
    assert before.fault is ResyncReason.GAP
    assert behind.fault is None
    assert behind.missed == {"alice": {"Email": "7"}}


def test_a_pass_for_nobody_is_not_wanted() -> None:
    one = seeker(5)
    history = Pass([one])
    history.leave(one)
    assert not history.is_wanted
    assert history.end() == []


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


def test_who_leaves_is_told_nothing_and_leaves_nothing() -> None:
    stays, listens, waits = seeker(5), seeker(5, "alice", "bob"), seeker(8)
    history = Pass([stays, listens, waits])
    history.begin()
    history.take(at(5), ())
    history.leave(listens)
    history.leave(waits)
    assert listens not in history
    assert stays in history
    for offset in (6, 7, 8, 9):
        history.take(at(offset), [told("alice", Email=str(offset))])
    assert history.end() == [stays]
    assert listens.missed == waits.missed == {}


def test_those_who_come_and_go_leave_nothing_behind() -> None:
    history, gone = Pass([seeker(1)]), seeker(9)
    before = getrefcount(gone)
    for _ in range(1_000):
        history.join(gone)
        history.leave(gone)
    assert getrefcount(gone) - before < 200


def test_of_more_types_than_are_kept_no_more_is_kept() -> None:
    one = seeker(0)
    history = Pass([one])
    history.take(at(0), ())
    for number in range(10 * MAX_PENDING_TYPES):
        history.take(at(number + 1), [told("alice", **{f"Type{number}": "1"})])
    assert len(one.missed["alice"]) == MAX_PENDING_TYPES + 1


def test_only_the_types_that_are_asked_for_are_kept() -> None:
    one = seeker_of(at(0), types=frozenset({"Email"}))
    history = Pass([one])
    history.take(at(0), ())
    history.take(at(1), [told("alice", Mailbox="1")])
    assert one.missed == {}
    history.take(at(2), [told("alice", Mailbox="2", Email="2")])
    assert one.missed == {"alice": {"Email": "2"}}


def test_who_keeps_more_than_there_is_room_for_is_given_back_with_nothing() -> None:
    room = Budget(2 * SMALL_BYTES).account("resumes")
    greedy, modest = seeker_of(at(0), held=Held(room, 0)), seeker_of(at(0), held=Held(room, 0))
    modest.types = frozenset({"Type0"})
    history = Pass([greedy, modest])
    history.take(at(0), ())
    for number in range(100):
        history.take(at(number + 1), [told("alice", **{f"Type{number}": "1"})])
    assert history.is_wanted
    assert set(history.end()) == {greedy, modest}
    assert (greedy.full, greedy.missed) == (True, {})
    assert (modest.full, modest.missed) == (False, {"alice": {"Type0": "1"}})


def test_everybody_pays_from_their_own_position_on_and_an_account_once() -> None:
    early, late, ahead, leaves = seeker(0), seeker(2), seeker(9, "bob"), seeker(1)
    history = Pass([early, late, ahead, leaves])
    for offset in range(3):
        history.take(at(offset), ())
        history.spend(1.0)
    assert history.leave(leaves) == START_SECONDS + 2.0
    history.spend(1.0)
    bills = list(history.bills())
    assert sorted(bill for payer, bill in bills if payer == "alice") == [START_SECONDS + 4.0]
    assert dict(bills) == {
        "alice": START_SECONDS + 4.0,
        "bob": START_SECONDS,
        early.whose: START_SECONDS + 4.0,
        late.whose: START_SECONDS + 2.0,
        ahead.whose: START_SECONDS,
    }
