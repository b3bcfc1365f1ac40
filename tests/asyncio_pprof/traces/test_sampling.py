from __future__ import annotations

from asyncio_pprof.traces import Sampler


def test_the_first_is_taken_and_then_one_in_so_many() -> None:
    sampler = Sampler(every=4, seconds=10.0)
    assert [sampler.take(0.001 * number) for number in range(9)] == [
        True,
        False,
        False,
        False,
        True,
        False,
        False,
        False,
        True,
    ]


def test_in_a_quiet_process_the_first_of_each_second_is_taken() -> None:
    sampler = Sampler(every=1000, seconds=1.0)
    assert [sampler.take(now) for now in (0.0, 0.5, 1.0, 1.5, 2.5)] == [True, False, True, False, True]
