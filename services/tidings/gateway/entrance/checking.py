"""Between head and answer: a token is being verified in a thread.

The check holds the connection, never its descriptor: when the client has gone meanwhile, somebody else may have that
descriptor by now, and must not be let in with another's token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog

from tidings.auth.identity import Identity
from tidings.errors import RequestRejected
from tidings.gateway.model.connection import Connection, Handler

CHECK_SECONDS: Final = 10.0
"""For a check. Nobody has a timer for this alone: a connection is visited as often as that in any case."""
MAX_EARLY_BYTES: Final = 16 * 1024
"""What a client may send before it has its answer."""
CHECK_BYTES: Final = 8 * 1024
"""What a check takes beside the head of its request, which is kept in pieces."""
RETRY_SECONDS: Final = 5

Decide = Callable[[Identity | RequestRejected, memoryview], None]
"""Goes on with the outcome, and with what came behind the head."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Check:
    received: bytearray
    decide: Decide
    since: float
    task: asyncio.Task[None] | None = None


class Checking(Handler):
    """The handler of connections whose token is being verified."""

    def __init__(self, gone: Callable[[Connection, str], None], keeps: Callable[[Connection, int], bool]) -> None:
        """`gone` hears of a connection that ended while it was held, and why; `keeps` counts the bytes held for one."""
        self._gone = gone
        self._keeps = keeps
        self._checks: dict[Connection, _Check] = {}

    def __len__(self) -> int:
        return len(self._checks)

    def begin(
        self,
        connection: Connection,
        head_bytes: int,
        rest: memoryview,
        identity: Coroutine[Any, Any, Identity],
        decide: Decide,
    ) -> None:
        """Hold a connection until its token is verified; `rest` came behind its head. Then `decide`, if it is there.

        Raises RequestRejected (503) where there is no room to hold it.
        """
        if not self._keeps(connection, CHECK_BYTES + 2 * head_bytes + len(rest)):
            identity.close()
            raise _too_many()
        connection.handler = self
        check = self._checks[connection] = _Check(bytearray(rest), decide, time.monotonic())
        check.task = asyncio.create_task(self._run(connection, identity), name="verify token")

    async def _run(self, connection: Connection, identity: Coroutine[Any, Any, Identity]) -> None:
        outcome: Identity | RequestRejected
        try:
            outcome = await identity
        except RequestRejected as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one request
            _log.exception("token check failed", error=repr(error))
            outcome = RequestRejected(500, "fault", "the token could not be verified")
        self._decide(connection, outcome)

    def _decide(self, connection: Connection, outcome: Identity | RequestRejected) -> None:
        check = self._checks.pop(connection, None)
        if check is not None:
            check.decide(outcome, memoryview(bytes(check.received)))

    def received(self, connection: Connection, data: memoryview) -> None:
        early = self._checks[connection].received
        early += data
        if len(early) > MAX_EARLY_BYTES:
            self._give_up(connection, RequestRejected(400, "early_bytes", "the client sent too much before the answer"))
        elif not self._keeps(connection, len(data)) and connection in self._checks:
            self._give_up(connection, _too_many())

    def half_closed(self, connection: Connection) -> None:
        """Whoever has said all it has to say may still want its answer."""

    def timed(self, connection: Connection, now: float) -> float | None:
        """Give up a check that takes too long."""
        due = self._checks[connection].since + CHECK_SECONDS
        if now < due:
            return due
        late = RequestRejected(503, "token_checks", "the token could not be verified in time", RETRY_SECONDS)
        self._give_up(connection, late)
        return None

    def _give_up(self, connection: Connection, outcome: RequestRejected) -> None:
        task = self._checks[connection].task
        self._decide(connection, outcome)
        if task is not None:
            task.cancel()

    def closed(self, connection: Connection, reason: str) -> None:
        """Let nobody wait for it, and leave its place in the queue to somebody who does."""
        check = self._checks.pop(connection)
        if check.task is not None:
            check.task.cancel()
        self._gone(connection, reason)


def _too_many() -> RequestRejected:
    return RequestRejected(503, "token_checks", "too many tokens are being verified at once", RETRY_SECONDS)
