from __future__ import annotations

from tests.support.connections import connection_of
from tidings.gateway.resume.postponed import Postponed


def test_each_is_taken_when_it_is_due_and_not_before() -> None:
    waiting, first, second = Postponed(), connection_of("alice"), connection_of("bob")
    assert Postponed().due is None
    waiting.put(second, 12.0)
    waiting.put(first, 11.0)
    assert waiting.take(10.9) == []
    assert waiting.due is not None
    assert 11.0 <= waiting.due <= 11.0 + Postponed.resolution
    assert waiting.take(20.0) == [first, second]
    assert len(waiting) == 0


def test_each_has_one_place_and_none_once_it_has_left() -> None:
    waiting, one, other = Postponed(), connection_of("alice"), connection_of("bob")
    waiting.put(one, 11.0)
    waiting.put(other, 11.0)
    waiting.put(one, 15.0)
    assert len(waiting) == 2
    assert waiting.take(12.0) == [other]
    assert one in waiting
    waiting.discard(one)
    waiting.discard(one)
    assert one not in waiting
    assert waiting.take(20.0) == []
