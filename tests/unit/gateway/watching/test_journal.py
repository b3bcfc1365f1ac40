from __future__ import annotations

from collections import deque
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from tests.support.connections import connection_of
from tidings.gateway.model.pending import Pending
from tidings.gateway.watching import journal as journal_module
from tidings.gateway.watching.journal import MAX_EVENTS, MAX_NAMED, Journal, Ring

SIZE = 8
NAMES = st.sampled_from(("alice", "bob", "carol"))
NOTED = st.lists(NAMES | st.lists(NAMES, max_size=SIZE), max_size=40)


@given(NOTED, st.sampled_from((1, 3, 4, SIZE, 2 * SIZE)))
def test_a_ring_knows_the_last_notes_of_everybody_in_order(noted: list[str | list[str]], block: int) -> None:
    with mock.patch.object(journal_module, "BLOCK", block):
        _check_ring(noted)


def _check_ring(noted: list[str | list[str]]) -> None:
    ring: Ring[int] = Ring(SIZE, 0.5, -1)
    expected: deque[tuple[float, str, int, int]] = deque([(0.5, "", -1, 0)] * SIZE, maxlen=SIZE)
    for number, whose in enumerate(noted, 1):
        if isinstance(whose, str):
            ring.note(number, whose, number, 7)
            expected.append((number, whose, number, 7))
        else:
            ring.note_each(number, whose, number)
            expected.extend((number, one, number, 0) for one in whose)
    for name in ("alice", "bob", "carol", "nobody"):
        assert ring.of(name) == [(at, what, which) for at, one, what, which in expected if one == name]
    assert ring.since == expected[0][0]


def test_it_notes_who_was_told() -> None:
    journal = Journal(lambda: 3.0)
    alice, both = connection_of("alice"), connection_of("alice", "bob")
    pending = Pending({"alice": {"Email": "1"}, "bob": {"Email": "2"}}, 1.0, None)
    bob = connection_of("bob")
    journal.written([both], 1.0, pending)
    journal.written([both, alice], 1.5, Pending({"alice": {"Email": "1"}}, 1.0, None))
    journal.written([alice] * (MAX_NAMED + 1), 1.7, Pending({"alice": {"Email": "1"}}, 1.0, None))
    journal.written_each([alice], 2.0)
    journal.written_each([alice, bob], 2.5)
    journal.merged(alice, "alice", 4)
    assert journal.pushes.of("alice") == [
        (1.0, 1, id(both)),
        (1.5, 1, id(both)),
        (1.5, 1, id(alice)),
        (1.7, MAX_NAMED + 1, 0),
        (2.0, 1, id(alice)),
        (2.5, 1, 0),
    ]
    assert journal.pushes.of("bob") == [(1.0, 1, id(both)), (2.5, 1, 0)]
    assert journal.merges.of("alice") == [(3.0, 4, 0)]


def test_a_push_is_noted_though_the_write_has_found_the_first_of_them_gone() -> None:
    journal = Journal(lambda: 3.0)
    group = [connection_of("alice") for _ in range(MAX_NAMED + 1)]
    group[0].let_go()
    journal.written(group, 1.0, Pending({"alice": {"Email": "1"}}, 1.0, None))
    assert journal.pushes.of("alice") == [(1.0, MAX_NAMED + 1, 0)]


def test_it_notes_how_connections_came_and_went_for_each_of_their_accounts() -> None:
    journal = Journal(lambda: 3.0)
    both = connection_of("alice", "bob")
    journal.resumed(both, "nothing_missed")
    for _ in range(2):
        journal.closed(both, "websocket", "pong_deadline")
    for name in ("alice", "bob"):
        outcome, *ends = journal.events.of(name)
        assert outcome == (3.0, "nothing_missed", id(both))
        assert ends == [(3.0, "closed: pong_deadline (websocket)", id(both))] * 2


def test_its_size_does_not_depend_on_what_happens() -> None:
    journal = Journal(lambda: 3.0)
    for number in range(2 * MAX_EVENTS):
        journal.resumed(connection_of(f"user{number}"), "fresh")
    assert journal.events.of(f"user{MAX_EVENTS - 1}") == []
    assert len(journal.events.of(f"user{MAX_EVENTS}")) == 1


def test_it_keeps_no_string_that_came_with_a_change() -> None:
    journal = Journal(lambda: 3.0)
    alice = connection_of("alice")
    came = "".join(("al", "ice"))
    journal.written([alice], 1.0, Pending({came: {"Email": "1"}}, 1.0, None))
    journal.merged(alice, came, 1)
    del came
    assert all(
        name is alice.accounts or name == "" for ring in (journal.pushes, journal.merges) for name in ring._whose
    )
