"""clients/js in Chromium, against a server that does as the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio
import websockets
from playwright.async_api import Page
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.browser.clientpage import content, start, state, told, until
from tests.browser.conftest import deadline
from tests.support.ports import free_ports

LOADED = datetime(2030, 1, 1, tzinfo=UTC)


def serve_page(connection: ServerConnection, request: Request) -> Response | None:
    """The client and a page for it, from the gateway's own origin: Chromium lets no other page call this machine."""
    if request.path == "/jmap/ws":
        return None
    body, content_type = content(request.path)
    headers = Headers({"Content-Type": content_type, "Connection": "close"})
    return Response(200, "OK", headers, body)


class Gateway:
    """Accepts WebSockets and leaves the talking to the test."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"ws://127.0.0.1:{port}/jmap/ws"
        self._accepted: asyncio.Queue[ServerConnection] = asyncio.Queue(16)
        self._server: Server | None = None

    async def open(self) -> None:
        async def handle(connection: ServerConnection) -> None:
            self._accepted.put_nowait(connection)
            await connection.wait_closed()

        self._server = await serve(
            handle,
            "127.0.0.1",
            self.port,
            process_request=serve_page,
            subprotocols=[websockets.Subprotocol("jmap")],
            ping_interval=None,
        )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._server = None

    async def accept(self) -> ServerConnection:
        async with asyncio.timeout(deadline()):
            connection = await self._accepted.get()
        assert connection.subprotocol == "jmap"
        return connection

    @property
    def waiting(self) -> int:
        return self._accepted.qsize()


async def receive(connection: ServerConnection) -> dict[str, Any]:
    async with asyncio.timeout(deadline()):
        message = json.loads(await connection.recv())
    assert isinstance(message, dict)
    return message


async def push(connection: ServerConnection, cursor: str, **changed: dict[str, str]) -> None:
    await connection.send(json.dumps({"@type": "StateChange", "changed": changed, "pushState": cursor}))


@pytest_asyncio.fixture(loop_scope="session")
async def gateway() -> AsyncIterator[Gateway]:
    (port,) = free_ports(1)
    gateway = Gateway(port)
    await gateway.open()
    yield gateway
    await gateway.close()


@pytest_asyncio.fixture(loop_scope="session")
async def blank(page: Page, gateway: Gateway) -> Page:
    """A page that has loaded the client and does nothing; its clock stands until the test moves it."""
    await page.clock.install(time=LOADED)
    await page.goto(f"http://127.0.0.1:{gateway.port}/")
    await page.evaluate("import('/tidings.js').then(() => undefined)")
    await page.clock.pause_at(LOADED + timedelta(hours=1))
    return page


async def connected(page: Page, gateway: Gateway, cursor: str = "c1") -> ServerConnection:
    connection = await gateway.accept()
    await receive(connection)
    await push(connection, cursor)
    await state(page, "connected")
    return connection


async def test_it_subscribes_and_tells_changes_then_cursors(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url, types=["Email"])
    connection = await gateway.accept()
    assert await receive(connection) == {"@type": "WebSocketPushEnable", "dataTypes": ["Email"], "pushStatus": True}
    await push(connection, "c1")
    await push(connection, "c2", alice={"Email": "s1"})
    await until(blank, "client.cursor === 'c2' && told.at(-1).cursor === 'c2'")
    assert await told(blank) == [
        {"state": "connecting", "transport": "websocket"},
        {"state": "connected", "resumed": False, "transport": "websocket"},
        {"cursor": "c1"},
        {"changed": {"alice": {"Email": "s1"}}},
        {"cursor": "c2"},
    ]


async def test_it_says_when_changes_do_not_reach_the_server(blank: Page, gateway: Gateway) -> None:
    async def stall(connection: ServerConnection, *, stalled: bool) -> None:
        await connection.send(json.dumps({"@type": "PushStatus", "stalled": stalled}))

    await start(blank, url=gateway.url)
    connection = await gateway.accept()
    await receive(connection)
    for stalled in (True, True, False, True):
        await stall(connection, stalled=stalled)
    await push(connection, "c1")
    await until(blank, "client.cursor === 'c1' && client.status.state === 'connected'")
    await stall(connection, stalled=False)
    await until(blank, "client.status.stalled === undefined")
    await push(connection, "c2", alice={"Email": "s1"})
    await until(blank, "told.at(-1).cursor === 'c2'")
    connecting = {"state": "connecting", "transport": "websocket"}
    online = {"state": "connected", "resumed": False, "transport": "websocket"}
    assert await told(blank) == [
        connecting,
        {**connecting, "stalled": True},
        connecting,
        {**connecting, "stalled": True},
        {**online, "stalled": True},
        {"cursor": "c1"},
        online,
        {"changed": {"alice": {"Email": "s1"}}},
        {"cursor": "c2"},
    ]


async def test_after_a_service_restart_it_resumes_from_the_newest_cursor(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url, jitter=0.5)
    connection = await connected(blank, gateway)
    await push(connection, "c2", alice={"Email": "s1"})
    await push(connection, "c3")
    await until(blank, "client.cursor === 'c3'")
    await connection.close(1012)
    await state(blank, "waiting")
    assert (await told(blank))[-1] == {"state": "waiting", "retryInMs": 500, "offline": False, "code": 1012}

    await blank.clock.run_for(500)
    connection = await gateway.accept()
    enable = {"@type": "WebSocketPushEnable", "dataTypes": None, "pushStatus": True, "pushState": "c3"}
    assert await receive(connection) == enable
    await push(connection, "c4", alice={"Email": "s2"})
    await state(blank, "connected")
    assert (await told(blank))[-3:] == [
        {"state": "connected", "resumed": True, "transport": "websocket"},
        {"changed": {"alice": {"Email": "s2"}}},
        {"cursor": "c4"},
    ]


async def test_a_cursor_that_was_kept_is_resumed_from(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url, cursor="kept")
    assert (await receive(await gateway.accept()))["pushState"] == "kept"


async def test_backoff_has_full_jitter_below_a_doubling_bound_of_at_most_30_s(blank: Page) -> None:
    bounds = await blank.evaluate(
        """async () => {
            const { backoff } = await import("/tidings.js");
            const failures = [0, 1, 2, 3, 4, 5, 6, 50, 2000];
            return [0, 0.5, 1].map((jitter) => failures.map((count) => backoff(count, () => jitter)));
        }"""
    )
    most = [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000]
    assert bounds == [[0] * 9, [bound / 2 for bound in most], most]


async def test_better_transports_are_tried_less_and_less_often_and_not_in_step(blank: Page) -> None:
    pauses = await blank.evaluate(
        """async () => {
            const { betterIn } = await import("/tidings.js");
            return [0, 0.5, 1].map((jitter) => [0, 1, 2, 3, 4, 50, 2000].map((tried) => betterIn(tried, () => jitter)));
        }"""
    )
    most = [minutes * 60_000 for minutes in (5, 10, 20, 40, 60, 60, 60)]
    assert pauses == [most, [pause * 3 / 4 for pause in most], [pause / 2 for pause in most]]


async def test_it_waits_longer_after_each_failure_and_asks_for_the_url_each_time(blank: Page, gateway: Gateway) -> None:
    await gateway.close()
    await blank.evaluate("address => { window.address = address; }", gateway.url)
    await start(blank, jitter=0.999)
    waits = []
    for _ in range(7):
        await state(blank, "waiting")
        waits.append(await blank.evaluate("client.status.retryInMs"))
        await blank.clock.run_for(waits[-1] - 1)
        assert await blank.evaluate("client.status.state") == "waiting"
        await blank.clock.run_for(1)
    assert waits == [999, 1998, 3996, 7992, 15984, 29970, 29970]
    assert (await told(blank)).count("url") == 8


async def test_only_a_connection_that_lasts_makes_up_for_failures(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url, jitter=0.5)
    for expected in (500, 1000, 2000):
        connection = await connected(blank, gateway)
        await connection.close(1011)
        await state(blank, "waiting")
        assert await blank.evaluate("client.status.retryInMs") == expected
        await blank.clock.run_for(expected)
    connection = await connected(blank, gateway)
    await blank.clock.run_for(30_000)
    await connection.close(1011)
    await state(blank, "waiting")
    assert await blank.evaluate("client.status.retryInMs") == 500


async def test_a_server_that_restarts_is_not_spared_unless_it_does_nothing_else(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url, jitter=0.5)
    waited = 0
    for lasted, expected in ((1_000, 500), (1_000, 500), (0, 1000), (0, 2000), (1_000, 500)):
        await blank.clock.run_for(waited)
        connection = await connected(blank, gateway)
        await blank.clock.run_for(lasted)
        await connection.close(1012)
        await state(blank, "waiting")
        waited = await blank.evaluate("client.status.retryInMs")
        assert waited == expected


async def test_silence_is_questioned_and_an_answer_is_enough(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url)
    connection = await connected(blank, gateway)
    await blank.clock.run_for(170_000)
    await push(connection, "c2")
    await until(blank, "client.cursor === 'c2'")
    await blank.clock.run_for(185_000)
    probe = await receive(connection)
    assert probe["methodCalls"] == [["Core/echo", {}, "0"]]
    reply = {"@type": "Response", "requestId": probe["id"], "methodResponses": [["Core/echo", {}, "0"]]}
    await connection.send(json.dumps(reply))
    await push(connection, "c3")
    await until(blank, "client.cursor === 'c3'")
    await blank.clock.run_for(60_000)
    assert await blank.evaluate("client.status.state") == "connected"
    assert gateway.waiting == 0


async def test_a_connection_that_does_not_answer_is_replaced(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url, jitter=0.5)
    silent = await connected(blank, gateway)
    await blank.clock.run_for(185_000)
    await receive(silent)
    await blank.clock.run_for(20_000)
    assert (await receive(await gateway.accept()))["pushState"] == "c1"


async def test_after_sleep_it_asks_at_once(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url)
    connection = await connected(blank, gateway)
    await blank.clock.fast_forward(60_000)
    assert (await receive(connection))["@type"] == "Request"


async def test_a_page_that_becomes_visible_or_online_does_not_wait(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url, jitter=0.5)
    connection = await connected(blank, gateway)
    await connection.close(1012)
    await state(blank, "waiting")
    await blank.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    connection = await connected(blank, gateway)
    for _ in range(2):
        await connection.close(1012)
        await state(blank, "waiting")
        await blank.evaluate("dispatchEvent(new Event('online'))")
        assert await blank.evaluate("client.status.retryInMs") == 500
        await blank.clock.run_for(500)
        connection = await connected(blank, gateway)


async def test_it_leaves_with_the_page_and_comes_back_from_the_cache(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url)
    connection = await connected(blank, gateway)
    await blank.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    async with asyncio.timeout(deadline()):
        await connection.wait_closed()
    await blank.clock.run_for(60_000)
    assert gateway.waiting == 0
    await blank.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert (await receive(await gateway.accept()))["pushState"] == "c1"


async def test_stop_is_for_good(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url)
    connection = await connected(blank, gateway)
    await blank.evaluate("client.stop()")
    async with asyncio.timeout(deadline()):
        await connection.wait_closed()
    await blank.evaluate("dispatchEvent(new Event('online')); client.retry()")
    await blank.clock.run_for(300_000)
    assert (await told(blank))[-1] == {"state": "stopped"}
    assert gateway.waiting == 0


async def test_a_refused_subscription_stops_it_with_the_reason(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url, types=["no such thing"])
    connection = await gateway.accept()
    await receive(connection)
    await connection.send(json.dumps({"@type": "RequestError", "requestId": None, "detail": "dataTypes: bad"}))
    await state(blank, "stopped")
    assert (await told(blank))[-1] == {"state": "stopped", "error": "dataTypes: bad"}
    await blank.clock.run_for(60_000)
    assert gateway.waiting == 0


async def test_what_is_not_json_ends_that_connection(blank: Page, gateway: Gateway) -> None:
    await start(blank, url=gateway.url, jitter=0.5)
    connection = await connected(blank, gateway)
    await connection.send("no JSON")
    await state(blank, "waiting")
    await blank.clock.run_for(500)
    assert (await receive(await gateway.accept()))["pushState"] == "c1"


async def test_an_error_of_the_page_does_not_stop_the_client(blank: Page, gateway: Gateway) -> None:
    errors: list[str] = []
    blank.on("pageerror", lambda error: errors.append(error.message))
    await start(blank, fails=True, url=gateway.url)
    connection = await connected(blank, gateway)
    await push(connection, "c2", alice={"Email": "s1"})
    await push(connection, "c3", alice={"Email": "s2"})
    await until(blank, "client.cursor === 'c3'")
    assert errors == ["of the page", "of the page"]
    assert await blank.evaluate("client.status.state") == "connected"
