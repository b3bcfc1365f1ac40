"""Clients that connect, listen, stall, vanish and come back with their cursor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from random import Random
from typing import Final

from tidings.check.behaviour import Episode, Form, episode, reconnect_seconds
from tidings.check.installation import Installation
from tidings.check.ledger import Arrival, Client, Ledger
from tidings.check.listening import Connection, EventStreamConnection, PollConnection, WebSocketConnection
from tidings.check.waiting import happens_within
from tidings.errors import CheckFailed

CONNECTIONS: Final[dict[Form, type[Connection]]] = {
    Form.WEBSOCKET: WebSocketConnection,
    Form.EVENT_STREAM: EventStreamConnection,
    Form.POLL: PollConnection,
}


class Wanderer:
    """One client. Once `calm` is set it stays, and only comes back when it loses its connection."""

    def __init__(
        self,
        installation: Installation,
        ledger: Ledger,
        accounts: Sequence[str],
        types: tuple[str, ...],
        random: Random,
        calm: asyncio.Event,
    ) -> None:
        self.subscribed = asyncio.Event()
        self._installation = installation
        self._ledger = ledger
        self._client: Client = ledger.client(accounts, types, time.monotonic())
        self._types = types
        self._random = random
        self._calm = calm
        self._cursor: str | None = None

    async def run(self) -> None:
        """Wander until cancelled."""
        while True:
            plan = episode(self._random)
            if plan.forgets:
                self._cursor = None
            try:
                connection = await self._open(plan.form)
            except CheckFailed:
                await asyncio.sleep(reconnect_seconds(self._random))
                continue
            try:
                lost = await self._stay(connection, plan)
            finally:
                await connection.close(abruptly=plan.vanishes)
            if lost:
                await asyncio.sleep(reconnect_seconds(self._random))
            else:
                await happens_within(self._calm, plan.absent_seconds)
                self._client.since = time.monotonic()

    async def _open(self, form: Form) -> Connection:
        gateway = self._random.choice(self._installation.gateways)
        return await CONNECTIONS[form].open(
            self._installation.subscription(gateway, self._client.accounts, self._types, self._cursor)
        )

    async def _stay(self, connection: Connection, plan: Episode) -> bool:
        """Listen as planned; whether the connection was lost before."""
        listening = asyncio.create_task(self._listen(connection, plan.stall_seconds))
        calming = asyncio.create_task(self._calm.wait())
        try:
            ends = plan.stall_seconds + plan.listen_seconds
            await asyncio.wait({listening, calming}, timeout=ends, return_when=asyncio.FIRST_COMPLETED)
            if self._calm.is_set():
                await listening
            return listening.done()
        finally:
            for task in (listening, calming):
                task.cancel()
            await asyncio.gather(listening, calming, return_exceptions=True)

    async def _listen(self, connection: Connection, stall_seconds: float) -> None:
        """Note what is told, until the connection ends."""
        arrival = Arrival.FIRST if self._cursor is None else Arrival.RETURN
        try:
            while True:
                told = await connection.next()
                self._ledger.told(self._client, told.changed, arrival, time.monotonic())
                self._cursor = told.cursor
                self.subscribed.set()
                if arrival is not Arrival.LIVE:
                    arrival = Arrival.LIVE
                    await happens_within(self._calm, stall_seconds)
                    self._client.since = time.monotonic()
        except CheckFailed:
            return
