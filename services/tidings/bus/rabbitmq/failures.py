"""What the client libraries raise, in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed, InvalidFrameError

from tidings.errors import LogError

_NOT_HERE: Final = (
    "replica on the local node",
    "stream not found",
    "stream coordinator unavailable",
    "coordinator_unavailable",
)
"""What nodes of a cluster say that lack what others have. No code tells these from other conflicts."""
_CONFLICT: Final = "inequivalent arg"
_RETENTION: Final = ("'x-max-age'", "'x-max-length-bytes'")
_UNBOUNDED: Final = "but current is none"


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
        case AMQPError() if is_not_here(error):
            return f"this node of the broker does not serve the stream: {_text(error)}"
        case ChannelPreconditionFailed() if _CONFLICT in _text(error):
            return f"the stream or exchange exists with other arguments: {_text(error)}"
        case InvalidFrameError() if "Connection.OpenOk" in _text(error):
            # All that the library tells is that it got another frame, and the address of that.
            return "the broker does not open the virtual host (absent, not for this user, or full): see its log"
        case None | asyncio.CancelledError():
            return "the connection was closed"
        case _:
            return _text(error) or "the connection was closed"


def is_not_here(error: BaseException | None) -> bool:
    """Whether the broker's node lacks a stream that another node of its cluster may have."""
    return isinstance(error, AMQPError) and any(text in _text(error).lower() for text in _NOT_HERE)


def keeps_another_retention(error: ChannelPreconditionFailed) -> bool:
    """Whether a stream is there that differs in nothing but how much it keeps; one that keeps all is not ours."""
    text = _text(error)
    return _CONFLICT in text and any(name in text for name in _RETENTION) and _UNBOUNDED not in text


def _text(error: BaseException) -> str:
    if isinstance(error, AMQPError):
        return " ".join(str(part) for part in error.args)
    return str(error)
