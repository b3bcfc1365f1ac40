"""How much a client may say."""

from __future__ import annotations

from tests.support.connections import connection_of
from tidings.gateway.limits.talk import BYTES_EACH, LEAST_BYTES, TALK_SECONDS, Talk


def test_a_client_may_send_so_many_frames_on_average() -> None:
    talk, one, other = Talk(2, 100), connection_of(), connection_of()
    assert [talk.is_too_often(one) for _ in range(21)] == [False] * 20 + [True]
    assert not talk.is_too_often(other)


def test_a_client_may_send_so_many_bytes_on_average() -> None:
    talk, one, other = Talk(2, 100), connection_of(), connection_of()
    assert [talk.is_too_much(one, BYTES_EACH) for _ in range(21)] == [False] * 20 + [True]
    assert not talk.is_too_much(other, BYTES_EACH)


def test_a_read_costs_however_little_it_brings() -> None:
    talk, one = Talk(2, 100), connection_of()
    assert [talk.is_too_much(one, 1) for _ in range(41)] == [False] * (20 * BYTES_EACH // LEAST_BYTES) + [True]


def test_two_messages_of_full_size_are_never_too_much() -> None:
    talk, one = Talk(1, 1_000_000), connection_of()
    assert not talk.is_too_much(one, 2_000_000)
    assert talk.is_too_much(one, 1_000_000)


def test_after_a_while_it_is_forgotten() -> None:
    talk, one = Talk(1, 100), connection_of()
    talk.turn(1000.0)
    for _ in range(10):
        talk.is_too_often(one)
    talk.is_too_much(one, 10 * BYTES_EACH)
    talk.turn(1000.0 + TALK_SECONDS - 0.1)
    assert talk.is_too_often(one)
    assert talk.is_too_much(one, 1)
    talk.turn(1000.0 + TALK_SECONDS)
    assert not talk.is_too_often(one)
    assert not talk.is_too_much(one, 1)


def test_who_is_gone_is_forgotten() -> None:
    talk, one = Talk(1, 100), connection_of()
    for _ in range(20):
        talk.is_too_often(one)
        talk.is_too_much(one, BYTES_EACH)
    talk.forget(one)
    talk.forget(one)
    assert not talk.is_too_often(one)
    assert not talk.is_too_much(one, 1)


def test_without_a_bound_nothing_is_too_much() -> None:
    talk, one = Talk(0, 100), connection_of()
    assert not any(talk.is_too_often(one) or talk.is_too_much(one, 10**9) for _ in range(1000))
