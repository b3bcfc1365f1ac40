from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from structlog.testing import capture_logs

from tests.support.virtual import virtual_time
from tidings.ops.http.refusals import PACE_SECONDS, Refusals

BAD = {"event": "requests refused", "log_level": "info", "listener": "test", "reason": "bad_token"}


def told(act: Callable[[Refusals], Awaitable[None]]) -> list[Any]:
    """The lines that come of it."""

    async def run() -> None:
        refusals = Refusals("test")
        await refusals.start()
        await act(refusals)
        await refusals.stop()

    with virtual_time() as loop, capture_logs() as lines:
        loop.run_until_complete(run())
    return lines


def test_of_many_a_line_is_told_at_once_and_the_rest_together() -> None:
    async def act(refusals: Refusals) -> None:
        for _ in range(307):
            refusals.refused("bad_token")
        assert refusals.counts == {"bad_token": 307}
        await asyncio.sleep(PACE_SECONDS + 1)

    assert told(act) == [{**BAD, "count": 1}, {**BAD, "count": 306}]


def test_whatever_comes_there_is_a_line_for_a_reason_in_ten_seconds() -> None:
    async def act(refusals: Refusals) -> None:
        for _ in range(600):
            refusals.refused("bad_token")
            refusals.refused("no_token")
            await asyncio.sleep(0.1)

    lines = told(act)
    for reason in ("bad_token", "no_token"):
        counts = [line["count"] for line in lines if line["reason"] == reason]
        assert 6 <= len(counts) <= 8
        assert sum(counts) == 600


def test_one_that_comes_later_is_told_at_once_again() -> None:
    async def act(refusals: Refusals) -> None:
        for _ in range(2):
            refusals.refused("bad_token")
            await asyncio.sleep(2 * PACE_SECONDS)

    assert told(act) == [{**BAD, "count": 1}] * 2


def test_the_end_leaves_none_untold() -> None:
    async def act(refusals: Refusals) -> None:
        for _ in range(3):
            refusals.refused("bad_token")
        refusals.refused("no_token")

    assert told(act) == [{**BAD, "count": 1}, {**BAD, "reason": "no_token", "count": 1}, {**BAD, "count": 2}]
