"""`tidings watch`: listen as a client of an account does, and print what it is told."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from datetime import UTC, datetime
from typing import Final

from tidings.check.installation import shown_token
from tidings.check.listening import (
    Connection,
    EventStreamConnection,
    PollConnection,
    Subscription,
    Told,
    WebSocketConnection,
)
from tidings.check.watch_settings import WatchSettings
from tidings.errors import CheckFailed

TRANSPORTS: Final[dict[str, type[Connection]]] = {
    "websocket": WebSocketConnection,
    "eventsource": EventStreamConnection,
    "poll": PollConnection,
}


def run(settings: WatchSettings) -> int:
    """Watch; the exit code: 0 when the time is over or Ctrl+C ends it, 1 when the gateway does."""
    try:
        asyncio.run(_watch(settings))
    except CheckFailed as error:
        sys.stderr.write(f"tidings watch: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _watch(settings: WatchSettings) -> None:
    accounts = (settings.account,)
    asked = Subscription(
        settings.gateway_url,
        accounts,
        settings.types,
        shown_token(settings, accounts),
        None,
        ssl.create_default_context(),
    )
    connection = await TRANSPORTS[settings.transport].open(asked)
    try:
        async with asyncio.timeout(settings.seconds or None):
            while True:
                _say(await connection.next())
    except TimeoutError:
        return
    finally:
        await connection.close(abruptly=False)


def _say(told: Told) -> None:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    sys.stdout.write(f"{at} {json.dumps(told.changed) if told.changed else '(nothing has changed)'}\n")
    sys.stdout.flush()
