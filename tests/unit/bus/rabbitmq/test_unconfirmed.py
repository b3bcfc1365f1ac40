from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.virtual import VirtualLoop, virtual_time
from tidings.bus.rabbitmq.unconfirmed import Unconfirmed

SECONDS = 2.0


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    with virtual_time() as loop:
        yield loop


def outcomes(futures: list[asyncio.Future[None]]) -> list[object]:
    """Of each, how it ended: None for a confirm, "waits" for one that has no answer."""
    return [
        type(done.exception()) if done.done() and done.exception() else None if done.done() else "waits"
        for done in futures
    ]


def test_an_answer_is_for_one_or_for_all_before(loop: VirtualLoop) -> None:
    async def play() -> None:
        unconfirmed = Unconfirmed(SECONDS)
        sent = [unconfirmed.add(tag) for tag in range(1, 8)]
        unconfirmed.answered(2)
        unconfirmed.answered(3, OSError())
        assert outcomes(sent) == ["waits", None, OSError, "waits", "waits", "waits", "waits"]
        unconfirmed.answered(5, multiple=True)
        unconfirmed.answered(6, OSError(), multiple=True)
        assert outcomes(sent) == [None, None, OSError, None, None, OSError, "waits"]
        # Once each: what came back is confirmed, too, and brokers may say anything.
        unconfirmed.answered(3)
        unconfirmed.answered(99, multiple=True)
        unconfirmed.answered(99)
        assert outcomes(sent) == [None, None, OSError, None, None, OSError, None]

    loop.run_until_complete(play())


def test_each_has_its_deadline(loop: VirtualLoop) -> None:
    async def play() -> None:
        unconfirmed = Unconfirmed(SECONDS)
        first = unconfirmed.add(1)
        await asyncio.sleep(0.5)
        second, third = unconfirmed.add(2), unconfirmed.add(3)
        unconfirmed.answered(3)
        start = loop.time()
        for done, at in ((first, 1.5), (second, 2.0)):
            with pytest.raises(TimeoutError):
                await done
            assert loop.time() - start == pytest.approx(at, abs=0.01)
        # The timer runs again for what comes after a pause.
        fourth = unconfirmed.add(4)
        with pytest.raises(TimeoutError):
            await fourth
        assert loop.time() - start == pytest.approx(4.0, abs=0.01)
        assert third.exception() is None

    loop.run_until_complete(play())


def test_what_nobody_waits_for_any_more_harms_nobody(loop: VirtualLoop) -> None:
    async def play() -> None:
        unconfirmed = Unconfirmed(SECONDS)
        gone, here = unconfirmed.add(1), unconfirmed.add(2)
        gone.cancel()
        unconfirmed.answered(2, multiple=True)
        assert here.done()

    loop.run_until_complete(play())


def test_giving_up_fails_all_that_wait(loop: VirtualLoop) -> None:
    async def play() -> None:
        unconfirmed = Unconfirmed(SECONDS)
        unconfirmed.give_up(OSError())
        sent = [unconfirmed.add(tag) for tag in (1, 2)]
        unconfirmed.give_up(OSError("gone"))
        assert outcomes(sent) == [OSError, OSError]
        # It goes on with those that come after.
        after = unconfirmed.add(3)
        unconfirmed.answered(1)
        unconfirmed.answered(3)
        await after

    loop.run_until_complete(play())
