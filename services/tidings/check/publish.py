"""`tidings publish`: tell a publisher of one change."""

from __future__ import annotations

import asyncio
import secrets
import sys
from functools import partial

from tidings.check.publish_settings import PublishSettings
from tidings.check.sender import Sender, event
from tidings.check.telling import Publishers
from tidings.errors import CheckFailed


def run(settings: PublishSettings) -> int:
    """Publish it; the exit code: 0 once a publisher has acknowledged the change, else 1."""
    state = settings.state or secrets.token_hex(8)
    try:
        asyncio.run(_publish(settings, state))
    except CheckFailed as error:
        sys.stderr.write(f"tidings publish: {error}\n")
        return 1
    sys.stdout.write(f"published: {', '.join(settings.types)} of {settings.account} at {state}\n")
    return 0


async def _publish(settings: PublishSettings, state: str) -> None:
    told = event(settings.account, dict.fromkeys(settings.types, state))
    async with Publishers(settings) as publishers:
        await publishers.tell(partial(Sender.post, told=told))
