"""`/debug/requests`: the families, and the traces of the number that was clicked on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from asyncio_pprof.home import PROFILES, Home
from asyncio_pprof.page import BELOW, document, wants_json
from asyncio_pprof.traces.book import BOUNDS, Book, Family, Trace
from asyncio_pprof.traces.views import listing, summary, values


class RequestPages:
    """Shows a book."""

    def __init__(self, book: Book, home: Home = PROFILES, clock: Callable[[], float] = time.monotonic) -> None:
        self._book = book
        self._home = home
        self._clock = clock

    def routes(self, below: str = BELOW) -> list[Route]:
        """What an application needs to serve them."""
        return [Route(f"{below}/requests", self._requests)]

    async def _requests(self, request: Request) -> Response:
        now = self._clock()
        if wants_json(request):
            return JSONResponse({family.name: self._all(family, now) for family in self._book.families()})
        chosen: Sequence[Trace] = ()
        name, show = request.query_params.get("family"), request.query_params.get("show", "active")
        if name is not None:
            family = self._book.get(name)
            found = None if family is None else _chosen(family, show)
            if found is None:
                return PlainTextResponse("unknown family or unknown list\n", 404)
            chosen = found
        return document("Requests", summary(self._book.families()) + listing(chosen, now), self._home)

    def _all(self, family: Family, now: float) -> dict[str, object]:
        active, counts, rejections, errors = family.counts()
        return {
            "what": family.what,
            "active": active,
            "rejections": rejections,
            "errors": errors,
            "buckets": [
                {"from_seconds": bound, "count": counts[at], "latest": values(family.done(at), now)}
                for at, bound in enumerate(BOUNDS)
            ],
            "latest_active": values(family.active()[-10:], now),
            "latest_rejections": values(family.rejected(), now),
            "latest_errors": values(family.failed(), now),
        }


def _chosen(family: Family, show: str) -> Sequence[Trace] | None:
    """The traces that a word or the number of a bucket means."""
    if show == "active":
        return family.active()[::-1]
    if show == "rejections":
        return family.rejected()
    if show == "errors":
        return family.failed()
    if show.isascii() and show.isdecimal() and len(show) == 1 and int(show) < len(BOUNDS):
        return family.done(int(show))
    return None
