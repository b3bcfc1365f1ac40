from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tidings.bus.rabbitmq.supervisor import LONGEST_SECONDS, OPERATOR_SECONDS, SHORTEST_SECONDS, Ended, pause, supervise


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_a_pause_is_bounded(failures: int, draw: float) -> None:
    assert SHORTEST_SECONDS <= pause(failures, draw) <= LONGEST_SECONDS


@given(st.integers(1, 100_000))
def test_a_pause_is_spread_from_the_shortest_on(failures: int) -> None:
    assert pause(failures, 0.0) == SHORTEST_SECONDS
    assert pause(failures, 0.5) < pause(failures, 1.0)


def test_pauses_grow_to_the_longest() -> None:
    pauses = [pause(failures, 1.0) for failures in range(1, 20)]
    assert all(shorter <= longer for shorter, longer in pairwise(pauses))
    assert pauses[-1] == LONGEST_SECONDS


class Sessions:
    """Sessions that end as told: connected or not, for what reason. The last of them lasts."""

    def __init__(self, *ends: tuple[bool, Ended]) -> None:
        self._ends = iter(ends)
        self.lasting = asyncio.Event()

    async def __call__(self, connected: Callable[[], None]) -> Ended:
        serves, ended = next(self._ends, (True, None))
        if serves:
            connected()
        if ended is None:
            self.lasting.set()
            await asyncio.Event().wait()
            raise AssertionError
        return ended


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses taken, none of which takes time, each the longest of its kind."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(random, "random", lambda: 1.0)
    return taken


async def supervised(sessions: Sessions) -> list[tuple[str, object]]:
    """Run until the session that lasts, then cancel; the lines logged."""
    with capture_logs() as lines:
        task = asyncio.create_task(supervise("publish", sessions))
        await sessions.lasting.wait()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
    assert {line["connection"] for line in lines} == {"publish"}
    return [(line["event"], line.get("reason")) for line in lines]


async def test_one_line_per_attempt(pauses: list[float]) -> None:
    lines = await supervised(Sessions((False, Ended("refused")), (False, Ended("refused")), (True, Ended("reset"))))
    assert lines == [
        ("bus unavailable", "refused"),
        ("bus unavailable", "refused"),
        ("bus connected", None),
        ("bus unavailable", "reset"),
        ("bus connected", None),
    ]


async def test_pauses_grow_until_a_session_serves(pauses: list[float]) -> None:
    failed = (False, Ended("refused"))
    await supervised(Sessions(failed, failed, failed, (True, Ended("reset")), failed))
    assert pauses == [pause(1, 1.0), pause(2, 1.0), pause(3, 1.0), pause(1, 1.0), pause(2, 1.0)]


async def test_what_only_a_person_can_mend_is_tried_rarely(pauses: list[float]) -> None:
    await supervised(Sessions((False, Ended("conflict", needs_operator=True)), (False, Ended("refused"))))
    assert pauses == [OPERATOR_SECONDS, pause(2, 1.0)]
