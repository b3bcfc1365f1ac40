from __future__ import annotations

import asyncio

import pytest
from aio_pika.exceptions import AMQPConnectionError, ChannelPreconditionFailed, ConnectionClosed, DeliveryError
from aiormq import spec

from tidings.bus.rabbitmq.failures import failing_as, reason
from tidings.errors import LogUnavailable, ReadLost


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no answer from the broker in time"),
        (DeliveryError(None, spec.Basic.Nack()), "refused by the broker (nack)"),
        (ConnectionClosed(320, "CONNECTION_FORCED - bye"), "320 CONNECTION_FORCED - bye"),
        (AMQPConnectionError(111, "Connect call failed"), "111 Connect call failed"),
        (
            ChannelPreconditionFailed("inequivalent arg"),
            "declared by somebody else with other arguments: inequivalent arg",
        ),
        (OSError("no route to host"), "no route to host"),
        (Exception(), "the connection was closed"),
        (ConnectionResetError(), "the connection was closed"),
        (asyncio.CancelledError(), "the connection was closed"),
        (None, "the connection was closed"),
    ],
)
def test_every_failure_has_a_reason(error: BaseException | None, text: str) -> None:
    assert reason(error) == text


@pytest.mark.parametrize("error", [TimeoutError(), RuntimeError("closed"), Exception(), LookupError("x"), EOFError()])
async def test_whatever_the_library_raises_becomes_one_kind(error: Exception) -> None:
    with pytest.raises(ReadLost, match=reason(error)) as failed, failing_as(ReadLost):
        raise error
    assert failed.value.__cause__ is error


async def test_our_own_errors_pass() -> None:
    with pytest.raises(LogUnavailable, match=r"^ours$"), failing_as(ReadLost):
        raise LogUnavailable("ours")


async def test_what_the_library_cancels_is_a_failure() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    with pytest.raises(ReadLost, match="closed"), failing_as(ReadLost):
        await future


async def test_our_own_cancellation_passes() -> None:
    async def waiting() -> None:
        with failing_as(ReadLost):
            await asyncio.Event().wait()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
