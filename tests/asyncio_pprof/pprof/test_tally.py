from __future__ import annotations

import pytest

from asyncio_pprof.pprof import tally
from asyncio_pprof.pprof.profile import synthetic
from asyncio_pprof.pprof.tally import OTHER, Tally


def test_sums_by_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MAX_STACKS", 2)
    counted = Tally()
    first, second, third, fourth = ((synthetic(name),) for name in ("a", "b", "c", "d"))
    for stack in (first, second, third, first, fourth):
        counted.add(stack, 1, 10)
    assert counted.sums() == {first: (2, 20), second: (1, 10), OTHER: (2, 20)}
