from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

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


def test_names_are_remembered_for_so_many_places_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MAX_PLACES", 10)
    counted = Tally()
    here = sys._getframe()
    (first,) = counted.stack([here])
    assert first.function == f"{__name__}.test_names_are_remembered_for_so_many_places_and_no_more"
    kept = []
    for number in range(50):
        names: dict[str, Any] = {"sys": sys}
        exec(compile(f"def made_{number}():\n    return sys._getframe()", "made", "exec"), names)
        frame = names[f"made_{number}"]()
        assert counted.stack([frame])[0].function == f"made.made_{number}"
        kept.append(weakref.ref(frame.f_code))
        del frame, names
    gc.collect()
    assert len([code for code in kept if code() is not None]) <= 11
