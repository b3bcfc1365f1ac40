from __future__ import annotations

from tidings.gateway.feeds.rounds import AT_ONCE, QUIET_SECONDS, Rounds

EARLIEST, LATEST = QUIET_SECONDS


def test_shards_that_were_heard_at_about_the_same_time_are_asked_together() -> None:
    rounds = Rounds()
    first = rounds.after(100.0)
    assert 100.0 + EARLIEST <= first <= 100.0 + LATEST
    assert rounds.after(first - EARLIEST) == rounds.after(first - LATEST) == rounds.after(100.0) == first


def test_no_shard_is_asked_too_soon_or_too_late() -> None:
    rounds = Rounds()
    first = rounds.after(100.0)
    later = rounds.after(first - EARLIEST + 0.1)
    assert first + 0.1 <= later <= first - EARLIEST + 0.1 + LATEST
    assert 100.0 + EARLIEST <= rounds.after(100.0) <= 100.0 + LATEST


def test_gateways_rarely_ask_at_the_same_moment() -> None:
    moments = sorted(Rounds().after(0.0) for _ in range(100))
    assert moments[0] < EARLIEST + 0.1 * (LATEST - EARLIEST)
    assert moments[-1] > LATEST - 0.1 * (LATEST - EARLIEST)
    assert len(set(moments)) == len(moments)


def test_only_so_many_are_asked_at_one_moment() -> None:
    rounds = Rounds()
    moments = [rounds.after(100.0) for _ in range(3 * AT_ONCE)]
    assert sorted(map(moments.count, set(moments))) == [AT_ONCE] * 3
