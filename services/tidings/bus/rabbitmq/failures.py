"""What the client libraries raise, in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed, DeliveryError, InvalidFrameError, PublishError

from tidings.errors import LogError


@contextmanager
def failing_as(kind: type[LogError]) -> Iterator[None]:
    """Turn whatever goes wrong inside into `kind`, with the original as its cause.

    Only for calls into the client libraries: they raise almost anything, a bare Exception() for what was waiting
    on a connection that the broker closed without a word, and CancelledError for what they cancel themselves.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise kind("the connection was closed") from error
    except LogError:
        raise
    except Exception as error:
        raise kind(reason(error)) from error


def reason(error: BaseException | None) -> str:
    """Say in a phrase why something failed; None is an end without a reason. Never holds a password."""
    match error:
        case TimeoutError():
            return "no answer from the broker in time"
        case PublishError():
            return "returned by the broker: no stream is bound for the shard"
        case DeliveryError():
            return "refused by the broker (nack)"
        case ChannelPreconditionFailed():
            return f"declared by somebody else with other arguments: {_text(error)}"
        case InvalidFrameError() if "Connection.OpenOk" in _text(error):
            # All that the library tells is that it got another frame, and the address of that.
            return "the broker does not open the virtual host (absent, not for this user, or full): see its log"
        case None | asyncio.CancelledError():
            return "the connection was closed"
        case _:
            return _text(error) or "the connection was closed"


def _text(error: BaseException) -> str:
    if isinstance(error, AMQPError):
        return " ".join(str(part) for part in error.args)
    return str(error)
