"""Logins to accounts, by the map that the operator has given; its files are read again when they change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import structlog

from tidings.errors import SettingsError
from tidings.ops.paced import Paced
from tidings.publisher.account_rules import Rules, parse_map, parse_table
from tidings.wire.change import EVERY_ACCOUNT, Change

LOOK_SECONDS: Final = 2.0
"""Between two looks at whether a file has changed."""
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
SHOWN: Final = 100

_log = structlog.get_logger()

_Seen = tuple[tuple[str, int, int, int], ...]
"""Of each file: its path, inode, size and time of change."""


class _MapError(SettingsError):
    """A map that cannot be used: the files that it was read from, as they were, and the table that it names."""

    def __init__(self, message: str, seen: _Seen, table: str | None) -> None:
        super().__init__(message)
        self.seen = seen
        self.table = table


class AccountMap:
    """What the logins of storages are called here. Without a file: as they are, if they can be accounts.

    A service that reads the files again when they change; of one that is wrong then, what it said before stays valid.
    """

    name = "account map"

    def __init__(self, file: Path | None = None) -> None:
        """Read the map. Raises SettingsError when it cannot be used."""
        self._file = file
        self.rules = Rules()
        self._seen: _Seen = ()
        self._unmapped = Paced[str]()
        self._watching: asyncio.Task[None] | None = None
        if file is not None:
            self.rules, self._seen = _read(file)

    def account_of(self, login: str) -> str | None:
        """The account of a login; None, and a line in the log at a pace, for one that cannot be mapped."""
        account = self.rules.account_of(login)
        if account is None:
            times = self._unmapped.happened("", time.monotonic())
            if times:
                _log.warning("a login has no account", login=login[:SHOWN], times=times)
        return account

    def mapped(self, changes: Sequence[Change]) -> list[Change]:
        """Changes that name logins, with accounts in their place, without those that have none."""
        if self._file is None:
            # Whoever makes a change has seen to it that it names what can be an account.
            return list(changes)
        found: list[Change] = []
        for change in changes:
            account = EVERY_ACCOUNT if change.account == EVERY_ACCOUNT else self.account_of(change.account)
            if account == change.account:
                found.append(change)
            elif account is not None:
                found.append(msgspec.structs.replace(change, account=account))
        return found

    async def start(self) -> None:
        """Look from time to time whether a file has changed."""
        if self._file is not None:
            self._watching = asyncio.create_task(self._watch(self._file), name=self.name)

    async def stop(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self, file: Path) -> None:
        seen, table = self._seen, self.rules.table_file
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            found = await asyncio.to_thread(_look, file, table)
            if found == seen:
                continue
            seen = found
            try:
                self.rules, seen = await asyncio.to_thread(_read, file)
            except _MapError as error:
                # The table of the new map is the one that may be mended.
                seen, table = error.seen, error.table
                _log.error("the account map cannot be used, the earlier account map stays in use", error=str(error))
            except Exception:  # noqa: BLE001 - a fault of ours is no reason to look no more
                _log.exception("the account map was not read", file=str(file))
            else:
                table = self.rules.table_file
                _log.info("the account map was read again", file=str(file))


def _look(file: Path, table: str | None) -> _Seen:
    files = [file] if table is None else [file, file.parent / table]
    seen = []
    for each in files:
        try:
            found = each.stat()
        except OSError:
            seen.append((str(each), 0, 0, 0))
        else:
            seen.append((str(each), found.st_ino, found.st_size, found.st_mtime_ns))
    return tuple(seen)


def _read(file: Path) -> tuple[Rules, _Seen]:
    seen = _look(file, None)
    try:
        rules = parse_map(_text(file))
    except SettingsError as error:
        raise _MapError(f"--account-map (TIDINGS_ACCOUNT_MAP) {file}: {error}", seen, None) from None
    if rules.table_file is None:
        return rules, seen
    path = file.parent / rules.table_file
    seen = (*seen, *_look(path, None))
    try:
        return replace(rules, table=parse_table(_text(path), lowercase=rules.lowercase)), seen
    except SettingsError as error:
        raise _MapError(
            f"--account-map (TIDINGS_ACCOUNT_MAP) {file}: {path}: {error}", seen, rules.table_file
        ) from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError(f"is longer than {MAX_FILE_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SettingsError("is not UTF-8") from None
