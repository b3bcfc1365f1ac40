"""Telling any one of several publishers, again until one has taken it, all refuse it, or the time is over."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from tidings.check.resync_settings import IngestSettings
from tidings.check.sender import Sender
from tidings.errors import CheckFailed, CheckRefused

RETRY_SECONDS: Final = 0.5

Telling = Callable[[Sender, str], Awaitable[None]]
"""Tells the publisher at a URL. Raises CheckFailed."""


class Publishers:
    """The publishers that the settings name, for as long as the settings let them take."""

    def __init__(self, settings: IngestSettings) -> None:
        token = settings.ingest_token
        self._urls = settings.ingest_url
        self._sender = Sender(None if token is None else token.get_secret_value(), ssl.create_default_context())
        self._deadline = time.monotonic() + settings.timeout_seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._sender.close()

    async def tell(self, telling: Telling) -> None:
        """Tell one of them. Raises CheckFailed when none has taken it in time, and as soon as all refuse it."""
        while True:
            failures: list[CheckFailed] = []
            for url in self._urls:
                try:
                    return await telling(self._sender, url)
                except CheckFailed as error:
                    failures.append(error)
            refused = all(isinstance(failure, CheckRefused) for failure in failures)
            if refused or time.monotonic() + RETRY_SECONDS > self._deadline:
                raise failures[-1]
            await asyncio.sleep(RETRY_SECONDS)
