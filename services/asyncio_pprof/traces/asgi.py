"""Follows the requests of an ASGI application: each has its stages, and few are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPMethod
from typing import Final, cast

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asyncio_pprof.traces.book import Family, Trace
from asyncio_pprof.traces.sampling import Sampler

SLOW_SECONDS: Final = 0.1
"""A request that took so long is kept in any case."""
OTHER: Final = "another path"
_KEY: Final = "requests.life"


class Life(Trace):
    """The trace of one request while it is answered. `followed`: it is kept whatever comes of it."""

    __slots__ = ("clock", "followed")

    def __init__(self, began: float, followed: bool, clock: Callable[[], float]) -> None:
        super().__init__("", began)
        self.followed = followed
        self.clock = clock


def life_of(scope: Scope) -> Life | None:
    """The life of the request that is being answered; None where nobody follows."""
    return cast("Life | None", scope.get(_KEY))


def reached(scope: Scope, stage: str) -> None:
    """The request that is being answered has come so far. Only words of the program's own belong in it."""
    life = scope.get(_KEY)
    if life is not None:
        life.mark(life.clock(), stage)


class Followed:
    """An application whose requests are followed in a family, from their head to the head of the answer.

    Kept are those that the sampler takes, the slow ones, and all that were rejected (4xx) or failed (5xx). They are
    called by the paths of `routes`: what else was asked for is nobody's to keep.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BaseRoute],
        family: Family,
        sampler: Sampler | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._routes = routes
        self._family = family
        self._sampler = sampler or Sampler()
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        # Routing changes it.
        root = scope.get("root_path", "")
        followed = self._sampler.take(began) and not self._family.is_full
        life = scope[_KEY] = Life(began, followed, self._clock)
        if followed:
            life.title = self._title(scope, root)
            self._family.follow(life)
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._ended(life, status, scope, root)

    def _ended(self, life: Life, status: int, scope: Scope, root: str) -> None:
        now = self._clock()
        if not life.followed and 200 <= status < 400 and now - life.began < SLOW_SECONDS:
            return
        life.title = life.title or self._title(scope, root)
        if not status:
            self._family.fail(life, now, "ended without an answer")
        elif status >= 500:
            self._family.fail(life, now, f"answered {status}")
        elif status >= 400:
            self._family.reject(life, now, f"answered {status}")
        else:
            life.mark(now, f"answered {status}")
            self._family.settle(life, now)
            self._family.end(life)

    def _title(self, scope: Scope, root: str) -> str:
        method = scope["method"] if scope["method"] in HTTPMethod.__members__ else "another method"
        # Routes of hosts look at the fields.
        asked = {
            "type": "http",
            "method": method,
            "path": scope["path"],
            "root_path": root,
            "headers": scope.get("headers", ()),
        }
        for route in self._routes:
            if route.matches(asked)[0] is not Match.NONE:
                return f"{method} {getattr(route, 'path', '') or OTHER}"
        return f"{method} {OTHER}"
