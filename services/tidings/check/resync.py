"""`tidings resync`: have clients look, because something may have changed that nobody told of."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from functools import partial
from typing import Final

from tidings.check.resync_settings import ResyncSettings
from tidings.check.sender import Sender
from tidings.check.telling import Publishers
from tidings.errors import CheckFailed, SettingsError

AT_ONCE: Final = 1_000
"""Accounts in one request."""


def run(settings: ResyncSettings) -> int:
    """Ask for it; the exit code: 0 once a publisher has taken all, else 1.

    Raises SettingsError when the file of accounts cannot be read.
    """
    requests = list(_requests(settings))
    try:
        asyncio.run(_ask(settings, requests))
    except CheckFailed as error:
        sys.stderr.write(f"tidings resync: {error}\n")
        return 1
    sys.stdout.write("accepted: the clients are asked to resynchronise\n")
    return 0


def _requests(settings: ResyncSettings) -> Iterator[dict[str, object]]:
    if settings.everybody:
        yield {"everybody": True}
        return
    accounts = list(settings.account)
    if settings.accounts_file is not None:
        try:
            text = settings.accounts_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--accounts-file {settings.accounts_file}: {error}") from None
        accounts += filter(None, map(str.strip, text.splitlines()))
    if not accounts:
        raise SettingsError(f"--accounts-file {settings.accounts_file}: names no account")
    for start in range(0, len(accounts), AT_ONCE):
        yield {"accounts": accounts[start : start + AT_ONCE]}


async def _ask(settings: ResyncSettings, requests: list[dict[str, object]]) -> None:
    async with Publishers(settings) as publishers:
        for request in requests:
            await publishers.tell(partial(Sender.ask_for_resync, asked=request))
