"""When a page that listens is at rest: it has been told of all that is in the log, and plans no refresh."""

from __future__ import annotations

import asyncio
import json
from typing import Final
from urllib.parse import quote

import httpx2
from playwright.async_api import Page, WebSocket

from tests.support.processes import Tidings
from tests.support.waiting import patient, within
from tidings.wire import cursor

SECONDS: Final = 30.0
PLANS: Final = """(() => {
    const { setTimeout, clearTimeout } = window;
    window.planned = new Set();
    window.setTimeout = (run, ...more) => {
        if (!new Error().stack.includes("/refresher.js")) return setTimeout(run, ...more);
        const timer = setTimeout((...given) => {
            planned.delete(timer);
            run(...given);
        }, ...more);
        planned.add(timer);
        return timer;
    };
    window.clearTimeout = (timer) => {
        planned.delete(timer);
        clearTimeout(timer);
    };
})()"""
"""To run in each document before its own scripts: what integrations/roundcube/refresher.js waits for."""


class Resting:
    """Watches the pushes that a page gets for an account; to be made before the page listens."""

    def __init__(self, page: Page, account: str) -> None:
        self._page = page
        self._account = account
        self._cursor = ""
        page.on("websocket", self._opened)

    def _opened(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._told)

    def _told(self, frame: str | bytes) -> None:
        self._cursor = json.loads(frame).get("pushState", self._cursor)

    def _has(self, shard: int, offset: int) -> bool:
        if not self._cursor:
            return False
        _, positions = cursor.decode(self._cursor)
        return shard in positions and positions[shard].offset >= offset

    async def until(self, up: Tidings) -> None:
        """Wait until it rests. What happened before is in the log."""
        url = up.url("admin", f"/debug/accounts/{quote(self._account)}")
        async with httpx2.AsyncClient(timeout=patient(SECONDS)) as http, within(SECONDS):
            while True:
                found = (await http.get(url)).json()
                newest = max((change["offset"] for change in found["changes"]), default=0)
                if self._has(found["shard"], newest) and not await self._page.evaluate("planned.size"):
                    return
                await asyncio.sleep(0.05)
