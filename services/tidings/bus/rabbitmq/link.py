"""Keeping one connection up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, NoReturn, TypeVar

from aio_pika import Connection
from aio_pika.exceptions import ChannelPreconditionFailed
from yarl import URL

from tidings.bus.rabbitmq.addresses import Address, Addresses, Moves
from tidings.bus.rabbitmq.declaring import ANSWER_SECONDS
from tidings.bus.rabbitmq.failures import failing_as, is_not_here
from tidings.bus.rabbitmq.frames import Frames
from tidings.bus.rabbitmq.session import Session
from tidings.bus.rabbitmq.supervisor import Ended, supervise
from tidings.bus.rabbitmq.telling import Telling
from tidings.bus.rabbitmq.wire import Resolve, Wire
from tidings.errors import LogUnavailable

CLOSE_SECONDS: Final = 0.5
"""For saying farewell to the broker."""
CANCEL_SECONDS: Final = 2 * CLOSE_SECONDS

S = TypeVar("S", bound=Session)


class Link(Generic[S]):
    """One of the log's connections.

    `session` is the present one, if it serves; `failures` counts those that ended, and `ended` says why the last did.
    """

    def __init__(
        self,
        name: str,
        brokers: Sequence[URL],
        make: Callable[[Connection, Frames], S],
        telling: Telling,
        resolve: Resolve,
    ) -> None:
        self._name = name
        self._brokers = brokers
        self._make = make
        self._telling = telling
        self._resolve = resolve
        self._addresses = Addresses()
        self._moves = Moves()
        self._task: asyncio.Task[NoReturn] | None = None
        self.session: S | None = None
        self.failures = 0
        self.ended: str | None = None

    def open(self) -> None:
        self._task = asyncio.create_task(supervise(self._name, self._run, self._telling), name=f"bus {self._name}")

    async def close(self) -> None:
        task, self._task = self._task, None
        while task is not None and not task.done():
            # More than once, because the library may swallow one: see ANSWER_SECONDS.
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_SECONDS)

    async def _run(self, connected: Callable[[str], None]) -> Ended:
        ended = await self._serve(connected)
        self.failures += 1
        self.ended = ended.reason
        return ended

    async def _serve(self, connected: Callable[[str], None]) -> Ended:
        # Not aio_pika.connect: when that fails, its Connection is left to a finalizer that starts a task.
        connection = Connection(self._brokers[0], client_properties={"connection_name": f"tidings {self._name}"})
        wire = connection.kwargs["transport_factory"] = Wire(self._addresses, self._brokers, self._resolve)
        try:
            with failing_as(LogUnavailable):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.connect()
                session = self._make(connection, wire.frames)
                await session.check()
                self.session = session
                connected(str(wire.address))
                reason = await session.watch(lambda cuts: self._moves.wanted(time.monotonic(), cuts=cuts))
                return Ended(reason, address=_text(wire.address))
        except LogUnavailable as error:
            conflict = isinstance(error.__cause__, ChannelPreconditionFailed) and not is_not_here(error.__cause__)
            return Ended(str(error), needs_operator=conflict, address=_text(wire.address))
        finally:
            self.session = None
            wire.leave()
            hurry = asyncio.get_running_loop().call_later(CLOSE_SECONDS, wire.cut)
            try:
                with suppress(LogUnavailable), failing_as(LogUnavailable):
                    await connection.close()
            finally:
                # Also what the library made and lost: a connection that came up as we stopped waiting for it.
                hurry.cancel()
                wire.cut()


def _text(address: Address | None) -> str | None:
    return None if address is None else str(address)
