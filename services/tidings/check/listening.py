"""Listening to a gateway, in each of its wire formats, with codecs that are not ours.

With ours a fault would be at both ends, and cancel out.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from typing import Final, NamedTuple, Protocol, Self
from urllib.parse import urlencode

import httpx2
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tidings.errors import CheckFailed
from tidings.ops.http.reason import SAID_CHARS, detail, hint, reason

OPEN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 1.0
PING_SECONDS: Final = 30
"""How often an event stream that is silent is to show that it is there: the least that a gateway takes."""
WAIT_SECONDS: Final = 30
"""How long a poll may wait for its answer."""
SILENCE_SECONDS: Final = 45.0
"""What takes longer than either is not there any more."""


class Told(NamedTuple):
    """One StateChange; `cursor` is what to come back with."""

    changed: Mapping[str, Mapping[str, str]]
    cursor: str | None


class Subscription(NamedTuple):
    """What a client asks a gateway for. Without a token it names its one account; no types are all types."""

    url: str
    accounts: tuple[str, ...]
    types: tuple[str, ...]
    token: str | None
    since: str | None
    tls: ssl.SSLContext

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def type_list(self) -> str:
        """The types as the query of a URL has them (RFC 8620 section 7.3)."""
        return ",".join(self.types) or "*"

    def address(self, path: str, **query: object) -> str:
        """The URL to ask at."""
        account = {"account": self.accounts[0]} if len(self.accounts) == 1 else {}
        return f"{self.url.rstrip('/')}{path}?{urlencode({**account, **query}, safe=',')}"

    def failed(self, what: str) -> CheckFailed:
        """What went wrong, and where."""
        return CheckFailed(f"the gateway at {self.url} {what}")


class Connection(Protocol):
    """A client's connection, in whatever wire format."""

    @classmethod
    async def open(cls, asked: Subscription) -> Self:
        """Connect and subscribe. Raises CheckFailed."""

    async def next(self) -> Told:
        """What the client is told next. Raises CheckFailed once the connection has ended."""

    async def close(self, *, abruptly: bool) -> None:
        """End it; `abruptly`: be gone without a word."""


class WebSocketConnection:
    """JMAP over WebSocket (RFC 8887)."""

    def __init__(self, asked: Subscription, socket: ClientConnection) -> None:
        self._asked = asked
        self._socket = socket

    @classmethod
    async def open(cls, asked: Subscription) -> Self:
        url = asked.address("/jmap/ws").replace("http", "ws", 1)
        enable = {"@type": "WebSocketPushEnable", "dataTypes": asked.types or None, "pushState": asked.since}
        try:
            socket = await connect(
                url,
                ssl=asked.tls if url.startswith("wss:") else None,
                subprotocols=[websockets.Subprotocol("jmap")],
                additional_headers=asked.headers,
                compression=None,
                proxy=None,
                # Little is read ahead, so that a client that stalls is one for the gateway too.
                max_queue=1,
                open_timeout=OPEN_SECONDS,
                close_timeout=CLOSE_SECONDS,
            )
            await socket.send(json.dumps(enable))
        except websockets.InvalidStatus as error:
            status = error.response.status_code
            raise asked.failed(f"answers {status}: {detail(error.response.body)}{hint(status, 'gateway')}") from error
        except (websockets.WebSocketException, OSError) as error:
            raise asked.failed(f"opens no WebSocket: {reason(error)}") from error
        return cls(asked, socket)

    async def next(self) -> Told:
        """What the client is told next. Raises CheckFailed once the connection has ended."""
        try:
            message = await self._socket.recv()
        except websockets.ConnectionClosed as error:
            raise self._asked.failed(f"closed a WebSocket: {reason(error)}") from error
        return _state_change(self._asked, message)

    async def close(self, *, abruptly: bool) -> None:
        """End it; `abruptly`: be gone without a word."""
        if abruptly:
            self._socket.transport.abort()
        await self._socket.close()


class _HttpConnection:
    def __init__(self, asked: Subscription) -> None:
        self._asked = asked
        self._cursor = asked.since
        timeout = httpx2.Timeout(OPEN_SECONDS, read=SILENCE_SECONDS)
        self._http = httpx2.AsyncClient(timeout=timeout, headers=asked.headers, verify=asked.tls, trust_env=False)

    @classmethod
    async def open(cls, asked: Subscription) -> Self:
        """Nothing yet: the first `next` asks."""
        return cls(asked)

    async def close(self, *, abruptly: bool) -> None:
        await self._http.aclose()

    def _refused(self, status: int, body: bytes) -> CheckFailed:
        return self._asked.failed(f"answers {status}: {detail(body)}")

    def _ended(self, error: Exception) -> CheckFailed:
        return self._asked.failed(f"ended a request: {reason(error)}")


class EventStreamConnection(_HttpConnection):
    """An event stream (RFC 8620 section 7.3)."""

    _events: AsyncGenerator[Told, None] | None = None

    async def next(self) -> Told:
        """What the client is told next. Raises CheckFailed once the stream has ended."""
        if self._events is None:
            self._events = self._stream()
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            raise self._asked.failed("ended an event stream") from None
        except (httpx2.HTTPError, OSError) as error:
            raise self._ended(error) from error

    async def close(self, *, abruptly: bool) -> None:
        if self._events is not None:
            # Left to the collector it would be closed at the same time as the response in it.
            await self._events.aclose()
        await super().close(abruptly=abruptly)

    async def _stream(self) -> AsyncGenerator[Told, None]:
        asked = self._asked
        url = asked.address("/jmap/eventsource", types=asked.type_list, closeafter="no", ping=PING_SECONDS)
        headers = {} if asked.since is None else {"Last-Event-ID": asked.since}
        async with self._http.stream("GET", url, headers=headers) as response:
            if response.status_code != httpx2.codes.OK:
                raise self._refused(response.status_code, await response.aread())
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                    continue
                if "id" in fields:
                    yield Told(_state_change(asked, fields.get("data", _NOTHING)).changed, fields["id"])
                fields = {}


class PollConnection(_HttpConnection):
    """Polls, each of which waits for a change but the first."""

    _wait = 0

    async def next(self) -> Told:
        """What the client is told next. Raises CheckFailed when there is no answer."""
        asked = self._asked
        since = {} if self._cursor is None else {"since": self._cursor}
        url = asked.address("/jmap/changes", types=asked.type_list, wait=self._wait, **since)
        try:
            response = await self._http.get(url)
        except (httpx2.HTTPError, OSError) as error:
            raise self._ended(error) from error
        if response.status_code not in (httpx2.codes.OK, httpx2.codes.NOT_MODIFIED):
            raise self._refused(response.status_code, response.content)
        told = _state_change(asked, response.content or _NOTHING)
        self._wait = WAIT_SECONDS
        self._cursor = response.headers.get("etag", "").strip('"') or told.cursor
        return Told(told.changed, self._cursor)


_NOTHING: Final = b'{"@type":"StateChange","changed":{}}'


def _state_change(asked: Subscription, text: str | bytes) -> Told:
    """What a StateChange says. Raises CheckFailed for what is none, a web page of some proxy for example."""
    try:
        message = json.loads(text)
        if message["@type"] == "StateChange":
            return Told(message["changed"], message.get("pushState"))
    except (ValueError, KeyError, TypeError):
        pass
    raise asked.failed(f"says {text[:SAID_CHARS]!r}")
