"""Looks at an installation as a browser does, one request at a time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tidings.check.listening import OPEN_SECONDS, Subscription
from tidings.check.through.seen import CLAIMED, EVENT_STREAM, PATHS, POLL, SESSION_PATH, WEBSOCKET, Answer, Session
from tidings.ops.http.reason import detail, reason

_PROBLEM: Final = "application/problem+json"
_MOST: Final = 256 * 1024
"""Bytes of an answer that are looked at: a session is smaller, whatever else comes may be a page without end."""


Asking = AbstractAsyncContextManager[tuple[Answer, httpx2.Response | None]]
"""A request, for as long as its answer is looked at. No response: there was none."""


class Looker:
    """Asks as one client. `asked` is what it asks for, at the URL that browsers use."""

    def __init__(self, asked: Subscription) -> None:
        self.asked = asked
        headers = {**asked.headers, "Tidings-Check": "1", "Accept-Encoding": "gzip"}
        self._http = httpx2.AsyncClient(headers=headers, verify=asked.tls, trust_env=False, timeout=OPEN_SECONDS)
        self._here = ""

    async def close(self) -> None:
        await self._http.aclose()

    async def session(self) -> Session:
        """The session resource, as it is and as somebody gets it who claims another address."""
        parts = urlsplit(self.asked.url)
        asked = f"{parts.scheme}://{parts.netloc}"
        async with self.get(SESSION_PATH) as (answer, response):
            if response is None or answer.status != httpx2.codes.OK or not answer.ours:
                return Session(answer, asked)
            headers, here = response.headers, self._here
        async with self.get(SESSION_PATH, fields={"X-Forwarded-For": CLAIMED}) as (_, forged):
            claimed = None if forged is None else forged.headers.get("tidings-client")
        client, version = headers.get("tidings-client"), headers.get("tidings-version")
        return Session(answer, asked, here, client, claimed, version, _origins(answer.said))

    async def _trace(self, event: str, told: Mapping[str, Any]) -> None:
        """Note which address we have, while there is a connection: it may be closed behind the answer."""
        if event == "connection.connect_tcp.complete":
            self._here = str(told["return_value"].get_extra_info("client_addr")[0])

    @asynccontextmanager
    async def get(
        self, path: str, silence: float = 0, fields: Mapping[str, str] = {}, **query: object
    ) -> AsyncIterator[tuple[Answer, httpx2.Response | None]]:
        """Ask for a path; `silence` is how long it may say nothing. The body of an event stream is not read yet."""
        timeout = httpx2.Timeout(OPEN_SECONDS, read=OPEN_SECONDS + silence)
        url = self.asked.address(path, **query)
        async with AsyncExitStack() as stack:
            response = None
            try:
                asking = self._http.stream(
                    "GET", url, headers=dict(fields), timeout=timeout, extensions={"trace": self._trace}
                )
                response = await stack.enter_async_context(asking)
                answer = await _answer(path, response)
            except (httpx2.HTTPError, OSError) as error:
                answer = Answer(path, 0, reason(error), ours=False)
            yield answer, response

    def events(self, silence: float = 0) -> Asking:
        """An event stream without pings, which may be silent for so long."""
        return self.get(PATHS[EVENT_STREAM], silence, types="*", closeafter="no", ping=0)

    def poll(self, cursor: str | None = None, wait: int = 0) -> Asking:
        """A poll. Without a cursor it is answered at once."""
        query: dict[str, Any] = (
            {"types": "*", "wait": wait} if cursor is None else {"types": "*", "wait": wait, "since": cursor}
        )
        return self.get(PATHS[POLL], wait, **query)

    @asynccontextmanager
    async def websocket(self) -> AsyncIterator[tuple[Answer, ClientConnection | None]]:
        """A WebSocket that has subscribed. It sends no pings of its own; the gateway's are answered."""
        path = PATHS[WEBSOCKET]
        url = self.asked.address(path).replace("http", "ws", 1)
        socket, answer = None, Answer(path, 101)
        try:
            socket = await connect(
                url,
                ssl=self.asked.tls if url.startswith("wss:") else None,
                subprotocols=[websockets.Subprotocol("jmap")],
                additional_headers=self.asked.headers,
                ping_interval=None,
                proxy=None,
                open_timeout=OPEN_SECONDS,
            )
        except websockets.InvalidStatus as error:
            refused = error.response
            ours = refused.headers.get("content-type") == _PROBLEM
            answer = Answer(path, refused.status_code, detail(refused.body), ours)
        except (websockets.WebSocketException, OSError) as error:
            answer = Answer(path, 0, reason(error), ours=False)
        if socket is None:
            yield answer, None
            return
        async with socket:
            await socket.send(json.dumps({"@type": "WebSocketPushEnable", "dataTypes": None}))
            yield answer, socket


async def _answer(path: str, response: httpx2.Response) -> Answer:
    kind = response.headers.get("content-type", "").partition(";")[0]
    encoding = response.headers.get("content-encoding", "")
    if response.status_code == httpx2.codes.OK and kind == "text/event-stream":
        return Answer(path, 200, encoding=encoding)
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _MOST:
            break
    if response.status_code == httpx2.codes.OK:
        return Answer(path, 200, body.decode(errors="replace"), kind == "application/json", encoding)
    ours = kind == _PROBLEM or response.status_code == httpx2.codes.NOT_MODIFIED
    return Answer(path, response.status_code, detail(body), ours, encoding)


def cursor_of(said: str) -> str | None:
    """The cursor of what a poll was told."""
    try:
        return str(json.loads(said)["pushState"])
    except (ValueError, KeyError, TypeError):
        return None


def _origins(said: str) -> frozenset[str]:
    """Those of a session's URLs, as HTTP has them."""
    try:
        session = json.loads(said)
        socket = session["capabilities"]["urn:ietf:params:jmap:websocket"]["url"]
        urls = [str(socket).replace("ws", "http", 1), session["eventSourceUrl"], session["apiUrl"]]
        parts = [urlsplit(url) for url in urls]
    except (ValueError, KeyError, TypeError):
        return frozenset()
    return frozenset(f"{each.scheme}://{each.netloc}" for each in parts)
