from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidings.ops.paced import Paced, Told, Trouble


def test_an_event_is_told_at_once_then_once_a_minute_with_how_often_it_happened() -> None:
    paced = Paced[str]()
    assert paced.happened("a", 5.0) == 1
    assert [paced.happened("a", 5.0 + second) for second in range(1, 60)] == [0] * 59
    assert paced.happened("b", 30.0) == 1, "another kind has a minute of its own"
    assert paced.happened("a", 65.0) == 60
    assert paced.happened("a", 66.0) == 0
    assert paced.happened("a", 1000.0) == 2


def test_what_happened_and_does_not_again_is_told_when_somebody_asks() -> None:
    paced = Paced[str](10.0)
    for now in (0.0, 1.0, 2.0):
        paced.happened("a", now)
    paced.happened("b", 5.0)
    assert paced.overdue(9.0) == []
    assert paced.overdue(10.0) == [("a", 2)]
    assert paced.happened("a", 19.0) == 0
    assert paced.overdue(19.9) == []
    assert paced.overdue(20.0) == [("a", 1)]
    assert paced.overdue(100.0) == []


def test_only_so_many_kinds_are_remembered() -> None:
    paced = Paced[str](kinds=2)
    assert [paced.happened(kind, 0.0) for kind in ("a", "b", "c")] == [1, 1, 1]
    assert paced.happened("c", 1.0) == 0
    assert paced.happened("b", 1.0) == 0
    assert paced.happened("a", 1.0) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30))))
def test_every_event_is_counted_in_one_line(events: list[tuple[str, float]]) -> None:
    paced = Paced[str](10.0)
    now = 0.0
    told = 0
    for kind, pause in events:
        now += pause
        told += paced.happened(kind, now)
    told += sum(count for _, count in paced.overdue(now + 11.0))
    assert told == len(events)


def test_a_trouble_is_told_when_it_begins_every_minute_and_when_it_ends() -> None:
    trouble = Trouble()
    assert trouble.over(0.0) is None
    assert trouble.happened(10.0) == Told(first=True, seconds=0.0, count=1)
    assert [trouble.happened(10.0 + second) for second in range(1, 60)] == [None] * 59
    assert trouble.happened(70.0) == Told(first=False, seconds=60.0, count=60)
    assert trouble.happened(71.0) is None
    assert trouble.over(72.0) == Told(first=False, seconds=62.0, count=1)
    assert trouble.over(73.0) is None


def test_a_trouble_that_comes_and_goes_is_told_at_a_pace() -> None:
    trouble = Trouble(every=60.0, again=10.0)
    lines = []
    for tick in range(1000):
        now = tick * 0.1
        lines += [trouble.happened(now) if tick % 2 else trouble.over(now)]
    written = [line for line in lines if line is not None]
    assert sum(line.first for line in written) == 10, "in 100 s"
    assert len(written) == 20, "and the end of each"


def test_a_trouble_that_begins_soon_after_another_is_told_once_the_pause_is_over() -> None:
    trouble = Trouble(every=60.0, again=10.0)
    trouble.happened(0.0)
    trouble.over(1.0)
    assert trouble.happened(2.0) is None
    assert trouble.happened(10.0) == Told(first=True, seconds=8.0, count=2)
    assert trouble.over(11.0) == Told(first=False, seconds=9.0, count=0)
