"""Whether clients are told of a change, and at what age a silent connection is cut off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import httpx2
import websockets
from websockets.asyncio.client import ClientConnection

from tidings.check.through.looking import Looker, cursor_of
from tidings.check.through.seen import EVENT_STREAM, POLL, WEBSOCKET

MAX_WAIT_SECONDS: Final = 300
"""The longest that a gateway lets a poll wait."""


async def first_event(lines: AsyncIterator[str], seconds: float) -> float | None:
    """How long the first event takes, which a gateway sends at once; None: longer than it may."""
    began = time.monotonic()
    return await _within(seconds, began, _said(lines, "id:"))


async def told(
    looker: Looker, publish: Callable[[], Awaitable[str]], works: frozenset[str], seconds: float
) -> dict[str, float | None]:
    """How long each transport that works takes to tell of a change; `publish` gives its state."""
    async with AsyncExitStack() as stack:
        lines = socket = cursor = None
        if EVENT_STREAM in works:
            _, response = await stack.enter_async_context(looker.events(seconds))
            lines = None if response is None else response.aiter_lines()
            if lines is not None:
                await first_event(lines, seconds)
        if WEBSOCKET in works:
            _, socket = await stack.enter_async_context(looker.websocket())
            if socket is not None:
                await _within(seconds, 0, _heard(socket, "pushState"))
        if POLL in works:
            async with looker.poll() as (answer, _):
                cursor = cursor_of(answer.said)
        began = time.monotonic()
        state = await publish()
        waiting: dict[str, Awaitable[object]] = {}
        if lines is not None:
            waiting[EVENT_STREAM] = _said(lines, state)
        if socket is not None:
            waiting[WEBSOCKET] = _heard(socket, state)
        if cursor is not None:
            waiting[POLL] = _polled(looker, cursor, state, seconds)
        times = await asyncio.gather(*(_within(seconds, began, each) for each in waiting.values()))
        return dict(zip(waiting, times, strict=True))


async def cut(looker: Looker, works: frozenset[str], seconds: float) -> dict[str, float | None]:
    """The age at which a silent connection of each transport that works ended; None: it did not, within so long."""
    ways: dict[str, Callable[[Looker, float], Awaitable[object]]] = {
        WEBSOCKET: _websocket_ends,
        EVENT_STREAM: _stream_ends,
        POLL: _poll_ends,
    }
    watched = [transport for transport in ways if transport in works]
    began = time.monotonic()
    ends = (_within(seconds, began, ways[transport](looker, seconds)) for transport in watched)
    return dict(zip(watched, await asyncio.gather(*ends), strict=True))


async def _within(seconds: float, began: float, happening: Awaitable[object]) -> float | None:
    """How long it took until something happened; None: too long, or the connection ended before."""
    try:
        async with asyncio.timeout(seconds):
            return time.monotonic() - began if await happening else None
    except (TimeoutError, httpx2.HTTPError, websockets.WebSocketException, OSError):
        return None


async def _said(lines: AsyncIterator[str], wanted: str) -> bool:
    # Not by `async for`, which would close the stream once it has what it wants.
    while (line := await anext(lines, None)) is not None:
        if wanted in line:
            return True
    return False


async def _heard(socket: ClientConnection, wanted: str) -> bool:
    while wanted not in str(await socket.recv()):
        pass
    return True


async def _polled(looker: Looker, cursor: str, wanted: str, seconds: float) -> bool:
    async with looker.poll(cursor, max(1, int(seconds))) as (answer, _):
        return wanted in answer.said


async def _websocket_ends(looker: Looker, _: float) -> bool:
    async with looker.websocket() as (_answer, socket):
        if socket is not None:
            # Whatever comes is none of ours to tell of; a close, expected or not, ends this.
            async for _message in socket:
                pass
        return True


async def _stream_ends(looker: Looker, seconds: float) -> bool:
    async with looker.events(seconds) as (_answer, response):
        try:
            if response is not None:
                async for _line in response.aiter_lines():
                    pass
        except httpx2.HTTPError:
            return True
        return True


async def _poll_ends(looker: Looker, seconds: float) -> bool:
    """Ends where a proxy ends it; a gateway's own answer is no end."""
    async with looker.poll() as (answer, _):
        cursor = cursor_of(answer.said)
    async with looker.poll(cursor, min(MAX_WAIT_SECONDS, max(1, int(seconds)))) as (answer, _):
        return not answer.ours
