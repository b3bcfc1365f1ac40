"""Sends the clients of a process that stops to other gateways, at a pace."""

from __future__ import annotations

import asyncio
import random
import time

import structlog

from tidings.gateway.limits.goodbyes import STEP_SECONDS, Goodbyes
from tidings.gateway.model.connection import Leave
from tidings.gateway.net.reactor import Reactor

_log = structlog.get_logger()


async def drain(reactor: Reactor, seconds: float) -> None:
    """Have everybody who is parked leave, in random order, over so many seconds or less; see Goodbyes."""
    waiting = list(reactor.connections())
    random.shuffle(waiting)
    started = time.monotonic()
    goodbyes = Goodbyes(len(waiting), seconds, started)
    _log.info("draining", connections=len(waiting), seconds=round(goodbyes.seconds, 1))
    while waiting and len(reactor):
        for _ in range(goodbyes.due(time.monotonic())):
            connection = waiting.pop()
            connection.handler.leave(connection, Leave.SHUTDOWN)
        await asyncio.sleep(STEP_SECONDS)
    # Those whose request came late.
    for connection in reactor.connections():
        connection.handler.leave(connection, Leave.SHUTDOWN)
    _log.info("drained", seconds=round(time.monotonic() - started, 1))
