from __future__ import annotations

import asyncio

import pytest
from aio_pika.exceptions import (
    AMQPConnectionError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionClosed,
)
from aiormq.exceptions import ConnectionInternalError

from tidings.bus.rabbitmq.failures import failing_as, is_not_here, reason
from tidings.errors import LogUnavailable, ReadLost


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no answer from the broker in time"),
        (ConnectionClosed(320, "CONNECTION_FORCED - bye"), "320 CONNECTION_FORCED - bye"),
        (AMQPConnectionError(111, "Connect call failed"), "111 Connect call failed"),
        (
            ChannelPreconditionFailed("inequivalent arg"),
            "the stream or exchange exists with other arguments: inequivalent arg",
        ),
        (ChannelPreconditionFailed("unknown delivery tag 1"), "unknown delivery tag 1"),
        (
            ChannelPreconditionFailed("queue 's' does not have a running replica on the local node"),
            "this node of the broker does not serve the stream: "
            "queue 's' does not have a running replica on the local node",
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


@pytest.mark.parametrize(
    ("error", "elsewhere"),
    [
        (ChannelPreconditionFailed("queue 's' in vhost '/' does not have a running replica on the local node"), True),
        (ChannelPreconditionFailed("queue 's' does not have a replica on the local node"), True),
        (ChannelNotFoundEntity("NOT_FOUND - Stream not found"), True),
        (ConnectionInternalError(541, "Stream coordinator unavailable for queue 's'"), True),
        (ChannelNotFoundEntity("NOT_FOUND - no queue 's' in vhost '/'"), False),
        (ChannelPreconditionFailed("inequivalent arg 'x-max-age' for queue 's'"), False),
        (OSError("stream not found"), False),
        (None, False),
    ],
)
def test_what_only_this_node_lacks_is_told_from_the_rest(error: BaseException | None, elsewhere: bool) -> None:
    assert is_not_here(error) is elsewhere


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
