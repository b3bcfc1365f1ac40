"""The IMAP source: listens to every account that a file names, one connection each."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from tidings.errors import SettingsError
from tidings.publisher.accounts import AccountMap
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.sources.imap.accounts_file import MAX_FILE_BYTES, Entry, parse
from tidings.publisher.sources.imap.address import address
from tidings.publisher.sources.imap.complaints import Complaints
from tidings.publisher.sources.imap.gate import Gate
from tidings.publisher.sources.imap.teller import SOURCE, Teller
from tidings.publisher.sources.imap.watcher import Server, Watcher
from tidings.publisher.sources.metrics import SourceCounters
from tidings.publisher.sources.submit import Submit

LOOK_SECONDS: Final = 2.0
"""Between two looks at whether the file has changed."""

_log = structlog.get_logger()

_Seen = tuple[int, int, int]
"""Of a file: its inode, size and time of change."""


class ImapSource:
    """Watches the accounts of one IMAP server, and submits what changes."""

    name = SOURCE

    def __init__(
        self,
        url: str,
        accounts_file: Path,
        poll_seconds: float,
        connects_per_second: float,
        max_connections: int,
        state_dir: Path,
        submit: Submit,
        counters: SourceCounters,
        accounts: AccountMap,
        metrics: PublisherMetrics,
    ) -> None:
        self._address = address(url)
        self._file = accounts_file
        self._most = max_connections
        self._state_dir = state_dir
        self._counters = counters
        self._metrics = metrics
        self._teller = Teller(submit, counters, accounts, metrics.failures.labels("imap").inc)
        self._server = Server(
            self._address,
            # Verifies names and chains, by what OpenSSL trusts here: SSL_CERT_FILE and SSL_CERT_DIR name others.
            ssl.create_default_context(),
            accounts_file.parent,
            Gate(connects_per_second),
            self._teller,
            Complaints(self._address.url, counters),
            metrics,
            poll_seconds,
        )
        self._entries: Mapping[str, Entry] = {}
        self._seen: _Seen | None = None
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._rereading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen. Raises SettingsError when the file of accounts or the state directory cannot be used."""
        entries, self._seen = await asyncio.to_thread(self._read)
        await self._teller.open(self._state_dir, self._address.url)
        _log.info(
            "listening to imap accounts",
            url=self._address.url,
            accounts=len(entries),
            protection=self._address.protection.value,
        )
        await self._follow(entries)
        self._rereading = asyncio.create_task(self._reread(), name=self.name)

    async def stop(self) -> None:
        """Listen no more. What is not told yet is found again at the next start."""
        tasks = [*self._watchers.values(), *([self._rereading] if self._rereading else [])]
        await _ended(tasks)
        await self._teller.close()

    async def _follow(self, entries: Mapping[str, Entry]) -> None:
        """Listen to these accounts, and to no others."""
        ended = [user for user, entry in self._entries.items() if entries.get(user) != entry]
        await _ended([self._watchers.pop(user) for user in ended])
        for user in ended:
            self._server.complaints.forget(self._entries[user])
        self._entries = entries
        self._metrics.imap_accounts.set(len(entries))
        for user, entry in entries.items():
            if user not in self._watchers:
                self._watchers[user] = asyncio.create_task(Watcher(entry, self._server).run(), name=f"imap {user}")
        await self._teller.keep(entries.keys())

    async def _reread(self) -> None:
        """Look from time to time whether the file has changed. One that is wrong changes nothing."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                seen = await asyncio.to_thread(_look, self._file)
                if seen != self._seen:
                    self._seen = seen
                    entries, self._seen = await asyncio.to_thread(self._read)
                    _log.info("imap accounts were read again", file=str(self._file), accounts=len(entries))
                    await self._follow(entries)
            except SettingsError as error:
                _log.error("imap accounts cannot be read, the earlier accounts stay in use", error=str(error))
            except Exception:  # noqa: BLE001 - a fault of ours is no reason to listen no more
                self._metrics.failures.labels("imap").inc()
                _log.exception("imap accounts were not updated", file=str(self._file))

    def _read(self) -> tuple[Mapping[str, Entry], _Seen | None]:
        seen = _look(self._file)
        try:
            return parse(_text(self._file), self._most), seen
        except SettingsError as error:
            raise SettingsError(f"--imap-accounts (TIDINGS_IMAP_ACCOUNTS) {self._file}:{error}") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f" {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError(f" longer than {MAX_FILE_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{line}: not UTF-8") from None


def _look(file: Path) -> _Seen | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
