from __future__ import annotations

from asyncio_pprof.pprof.profile import BLOCK, Profile, synthetic

FIRST = ((synthetic("first"),), ())
SECOND = ((synthetic("second"),), ())
THIRD = ((synthetic("third"),), ())


def test_what_came_since_is_the_difference() -> None:
    before = Profile(BLOCK, {FIRST: (1, 10), SECOND: (2, 20)}, 1_000)
    after = Profile(BLOCK, {FIRST: (1, 10), SECOND: (5, 50), THIRD: (1, 5)}, 3_000, comments=("told",))
    assert after.since(before) == Profile(BLOCK, {SECOND: (3, 30), THIRD: (1, 5)}, 1_000, 2_000, ("told",))


def test_what_is_gone_is_negative() -> None:
    before = Profile(BLOCK, {FIRST: (1, 10)}, 1_000)
    assert Profile(BLOCK, {}, 2_000).since(before).samples == {FIRST: (-1, -10)}
