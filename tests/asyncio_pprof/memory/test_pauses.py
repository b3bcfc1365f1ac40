from __future__ import annotations

import gc

from asyncio_pprof.memory import Pauses


def counted(pauses: Pauses, generation: str) -> float:
    return pauses.buckets()[generation][-1][1]


def test_pauses_are_counted_while_they_are_watched() -> None:
    pauses = Pauses()
    gc.collect()
    assert counted(pauses, "2") == 0
    with pauses.watching():
        gc.collect()
        gc.collect()
        gc.collect(1)
    gc.collect()
    assert counted(pauses, "2") == 2
    assert counted(pauses, "1") >= 1
    counts = [count for _, count in pauses.buckets()["2"]]
    assert counts == sorted(counts)
    assert [bound for bound, _ in pauses.buckets()["2"]][-1] == "+Inf"
