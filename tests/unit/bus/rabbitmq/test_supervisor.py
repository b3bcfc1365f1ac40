from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tidings.bus.rabbitmq.supervisor import BACKOFF, OPERATOR_SECONDS, Ended, supervise
from tidings.bus.rabbitmq.telling import Telling


@given(st.integers(1, 100_000))
def test_pauses_are_spread_from_the_shortest_on(failures: int) -> None:
    assert BACKOFF.pause(failures, 0.0) == 0.2
    assert BACKOFF.pause(failures, 1.0) <= 5.0


class Sessions:
    """Sessions that end as told: connected or not, for what reason. The last of them lasts."""

    def __init__(self, *ends: tuple[bool, Ended]) -> None:
        self._ends = iter(ends)
        self.lasting = asyncio.Event()

    async def __call__(self, connected: Callable[[str], None]) -> Ended:
        serves, ended = next(self._ends, (True, None))
        if serves:
            connected("10.0.0.1:5672")
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


async def supervised(sessions: Sessions) -> list[EventDict]:
    """Run until the session that lasts, then cancel; the lines logged."""
    with capture_logs() as lines:
        task = asyncio.create_task(supervise("publish", sessions, Telling("mq:5672/", ["publish"])))
        await sessions.lasting.wait()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
    return lines


async def test_an_outage_is_two_lines_however_often_it_is_tried(pauses: list[float]) -> None:
    failed = (False, Ended("refused", address="10.0.0.2:5672"))
    lines = await supervised(Sessions(failed, failed, failed))
    assert [line["event"] for line in lines] == ["bus unavailable", "bus connected"]
    assert lines[0]["connection"] == "publish"
    assert (lines[0]["reason"], lines[0]["address"]) == ("refused", "10.0.0.2:5672")
    assert lines[0]["next_attempt_seconds"] == pytest.approx(BACKOFF.pause(1, 1.0), abs=0.1)
    assert (lines[1]["failures"], lines[1]["address"]) == (3, "10.0.0.1:5672")


async def test_pauses_grow_until_a_session_serves(pauses: list[float]) -> None:
    failed = (False, Ended("refused"))
    await supervised(Sessions(failed, failed, failed, (True, Ended("reset")), failed))
    assert pauses == [BACKOFF.pause(failures, 1.0) for failures in (1, 2, 3, 1, 2)]


async def test_what_only_a_person_can_mend_is_tried_rarely(pauses: list[float]) -> None:
    await supervised(Sessions((False, Ended("conflict", needs_operator=True)), (False, Ended("refused"))))
    assert pauses == [OPERATOR_SECONDS, BACKOFF.pause(2, 1.0)]
