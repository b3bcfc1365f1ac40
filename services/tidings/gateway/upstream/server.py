"""Asks the JMAP server, under bounds and a deadline.

No client of a library, which would keep cookies, follow redirects, know passwords from files and go through proxies:
each is a way for what one client sends to reach somebody else.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx2
import structlog

from tidings.errors import UpstreamFault
from tidings.gateway.upstream.http import SESSION_PATH, Answer, Caller, request_fields
from tidings.ops.budget import Account
from tidings.ops.outage import Outage, Stage, Told

SESSION_SECONDS: Final = 10.0
REQUEST_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 5.0
MAX_SESSIONS: Final = 16
"""Sessions fetched at once, by one process."""
MAX_REQUESTS: Final = 32
"""Requests passed on at once, by one process."""
MAX_WAITING: Final = 512
"""How many of each kind may wait for their turn, within their deadline."""
MAX_SESSION_BYTES: Final = 1024 * 1024
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""Of requests and answers together, where the budget allows more."""
MAX_REDIRECTS: Final = 3
IDLE_SECONDS: Final = 5.0
"""Less than servers keep an idle connection: a request that meets the closing of one is lost."""

_log = structlog.get_logger()


class Upstream:
    """The server at one origin: nothing else is ever connected to, and its TLS is verified."""

    name = "upstream"

    def __init__(self, url: str, held: Account) -> None:
        """`held` counts the bytes of answers, and of whatever callers keep for requests."""
        parts = urlsplit(url)
        self.held = held
        self.asked: Counter[tuple[str, ...]] = Counter()
        """Requests by what was asked (session, api) and what came of it."""
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.netloc
        self._outage = Outage()
        self._lanes = {"session": _Lane(MAX_SESSIONS), "api": _Lane(MAX_REQUESTS)}
        self._transport: httpx2.AsyncHTTPTransport | None = None

    @property
    def running(self) -> int:
        """Requests without an answer, those that wait for their turn too."""
        return sum(lane.taken for lane in self._lanes.values())

    async def start(self) -> None:
        most = MAX_SESSIONS + MAX_REQUESTS
        limits = httpx2.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=IDLE_SECONDS)
        # A CA of one's own is in SSL_CERT_FILE.
        self._transport = httpx2.AsyncHTTPTransport(verify=httpx2.create_ssl_context(), limits=limits, trust_env=False)

    async def stop(self) -> None:
        if self._transport is not None:
            await self._transport.aclose()

    @asynccontextmanager
    async def session(self, caller: Caller) -> AsyncIterator[Answer]:
        """The session resource for a client, or what the server answers in its place. Its bytes count until the exit.

        Raises UpstreamFault (502, 503, 504).
        """
        taken = _Taken(self.held, MAX_SESSION_BYTES)
        try:
            yield await self._ask("session", SESSION_SECONDS, lambda: self._follow(caller, taken))
        finally:
            taken.give()

    @asynccontextmanager
    async def request(self, caller: Caller, path: str, body: bytes) -> AsyncIterator[Answer]:
        """What the API at `path` answers to a request. Its bytes count until the exit.

        It is not asked twice, for nobody knows what became of the first time. Raises UpstreamFault (502, 503, 504).
        """
        taken = _Taken(self.held, MAX_ANSWER_BYTES)
        try:
            yield await self._ask("api", REQUEST_SECONDS, lambda: self._send(caller, path, body, taken))
        finally:
            taken.give()

    async def _ask(self, kind: str, seconds: float, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        lane = self._lanes[kind]
        if lane.is_full:
            self.asked[kind, "refused"] += 1
            raise UpstreamFault(503, "too many requests to the JMAP server at once: try again")
        lane.taken += 1
        try:
            async with asyncio.timeout(seconds), lane.turns:
                answer = await ask()
        except TimeoutError:
            self.asked[kind, "late"] += 1
            self._tell(self._outage.failed(time.monotonic()), "no answer in time")
            raise UpstreamFault(504, "the JMAP server does not answer in time") from None
        except httpx2.HTTPError as error:
            self.asked[kind, "failed"] += 1
            self._tell(self._outage.failed(time.monotonic()), str(error) or type(error).__name__)
            raise UpstreamFault(502, "the JMAP server cannot be reached") from None
        except UpstreamFault:
            self.asked[kind, "unusable"] += 1
            raise
        finally:
            lane.taken -= 1
        self.asked[kind, f"{answer.status // 100}xx"] += 1
        self._tell(self._outage.mended(time.monotonic()), "")
        return answer

    async def _follow(self, caller: Caller, taken: _Taken) -> Answer:
        path = SESSION_PATH
        for _ in range(1 + MAX_REDIRECTS):
            taken.give()
            answer = await self._send(caller, path, None, taken)
            elsewhere = answer.redirect
            if elsewhere is None:
                return answer
            path = elsewhere
        raise UpstreamFault(502, "the JMAP server redirects too many times")

    async def _send(self, caller: Caller, path: str, body: bytes | None, taken: _Taken) -> Answer:
        request = httpx2.Request(
            "GET" if body is None else "POST",
            f"{self._origin}{path}",
            headers=request_fields(caller, self._host, body),
            content=body,
            # Of everything else the deadline is that of the whole.
            extensions={"timeout": {"connect": CONNECT_SECONDS}},
        )
        if self._transport is None:
            raise UpstreamFault(503, "this gateway is not ready to ask the JMAP server")
        response = await self._transport.handle_async_request(request)
        content = bytearray()
        try:
            async for chunk in response.aiter_raw():
                taken.take(len(chunk))
                content += chunk
        finally:
            await response.aclose()
        return Answer(path, response.status_code, response.headers, bytes(content))

    def _tell(self, told: Told | None, reason: str) -> None:
        if told is None:
            return
        since = {"seconds": told.seconds, "failures": told.failures}
        if told.stage is Stage.OVER:
            _log.info("JMAP server answers again", host=self._host, **since)
        else:
            _log.warning("JMAP server does not answer", host=self._host, reason=reason, **since)


class _Lane:
    """Requests of one kind: so many at once, and others behind them. `taken` is how many there are."""

    def __init__(self, most: int) -> None:
        self.turns = asyncio.Semaphore(most)
        self.taken = 0
        self._room = most + MAX_WAITING

    @property
    def is_full(self) -> bool:
        return self.taken >= self._room


class _Taken:
    """The bytes that are counted for one answer."""

    def __init__(self, account: Account, most: int) -> None:
        self._account = account
        self._most = most
        self._size = 0

    def take(self, size: int) -> None:
        """Count more. Raises UpstreamFault: 502 for too long an answer, 503 where there is no room."""
        if self._size + size > self._most:
            raise UpstreamFault(502, f"the JMAP server's answer is longer than {self._most} bytes")
        if not self._account.take(size):
            raise UpstreamFault(503, "this gateway has no room for the JMAP server's answer: try again")
        self._size += size

    def give(self) -> None:
        self._account.give(self._size)
        self._size = 0
