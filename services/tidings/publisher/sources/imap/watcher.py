"""One account: logged in, listened to, and after each end again."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from tidings.errors import ImapError
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.sources.imap.accounts_file import Entry, Login
from tidings.publisher.sources.imap.address import Address
from tidings.publisher.sources.imap.complaints import Complaints
from tidings.publisher.sources.imap.connection import Connection
from tidings.publisher.sources.imap.gate import Gate
from tidings.publisher.sources.imap.pacing import delay
from tidings.publisher.sources.imap.plan import authentication
from tidings.publisher.sources.imap.session import Session
from tidings.publisher.sources.imap.teller import Teller
from tidings.publisher.sources.imap.view import View

STEADY_SECONDS: Final = 30.0
"""A connection that has lasted so long was no failure."""
MAX_TOKEN_BYTES: Final = 16 * 1024

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Server:
    """What all accounts of a server share. `directory` is that of the accounts' file."""

    address: Address
    context: ssl.SSLContext
    directory: Path
    gate: Gate
    teller: Teller
    complaints: Complaints
    metrics: PublisherMetrics
    poll_seconds: float


class Watcher:
    """Listens to one account."""

    def __init__(self, entry: Entry, server: Server) -> None:
        self._entry = entry
        self._server = server
        self._began = 0.0

    async def run(self) -> None:
        """Until it is cancelled."""
        failures = 0
        while True:
            self._began = time.monotonic()
            try:
                await self._listen()
            except ImapError as error:
                failures = 1 if time.monotonic() - self._began > STEADY_SECONDS else failures + 1
                wait = delay(error.reason, failures, random.random())  # noqa: S311 - jitter
                self._server.metrics.imap_failures.labels(error.reason).inc()
                self._server.complaints.failed(self._entry, error, wait)
            except Exception:  # noqa: BLE001 - a fault of ours is no reason to miss what comes later
                failures += 1
                wait = delay("protocol", failures, random.random())  # noqa: S311 - jitter
                self._server.metrics.failures.labels("imap").inc()
                self._server.complaints.fault(self._entry)
            await asyncio.sleep(wait)

    async def _listen(self) -> None:
        view = View()
        connection = Connection(self._server.address, self._server.context, view.take)
        try:
            async with self._server.gate.turn():
                await connection.open()
                await self._log_in(connection)
            await self._watch(connection, view)
        finally:
            await connection.close()

    async def _log_in(self, connection: Connection) -> None:
        login = await asyncio.to_thread(self._login)
        address = self._server.address
        await connection.log_in(authentication(login, connection.capabilities, address.host, address.port))

    def _login(self) -> Login:
        """What to log in with at this moment: somebody may have written a fresh token."""
        name = self._entry.credential.token_file
        if not name:
            return self._entry.login()
        try:
            with (self._server.directory / name).open("rb") as file:
                token = file.read(MAX_TOKEN_BYTES).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            said = (error.strerror or "") if isinstance(error, OSError) else "is not UTF-8"
            raise ImapError("login", f"token-file {name}: {said}") from None
        if not token:
            raise ImapError("login", f"token-file {name}: is empty")
        return self._entry.login(token)

    async def _watch(self, connection: Connection, view: View) -> None:
        server = self._server
        session = Session(self._entry.user, connection, view, server.teller, server.poll_seconds, self._untold)
        await session.begin()
        server.complaints.mended(self._entry)
        server.metrics.imap_connections.inc()
        try:
            await session.listen()
        finally:
            server.metrics.imap_connections.dec()

    def _untold(self) -> None:
        self._server.metrics.imap_untold.inc()
        self._server.complaints.untold(self._entry)
